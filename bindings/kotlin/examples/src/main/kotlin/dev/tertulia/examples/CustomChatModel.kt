/** A chat model of the host: a rule, in the manner of ELIZA, whose replies arrive word by word. */
package dev.tertulia.examples

import dev.tertulia.ChatModel
import dev.tertulia.ChatModelInfo
import dev.tertulia.HostBackends
import dev.tertulia.SessionConfig
import dev.tertulia.TertuliaEngine
import dev.tertulia.TertuliaEventKind
import kotlinx.coroutines.flow.asFlow
import kotlinx.coroutines.flow.takeWhile
import kotlinx.coroutines.runBlocking

private val rules = ChatModel(ChatModelInfo("rules", listOf("en", "es"))) { request ->
    val name = request.messages.last().content.substringAfter("Me llamo ", "")
    val answer = if (name.isEmpty()) "Cuéntame más." else "¡Encantado, $name! ¿De dónde eres?"
    answer.split(Regex("(?<= )")).asFlow()
}

/** `CustomChatModelKt Me llamo Ana` */
fun main(words: Array<String>) = runBlocking {
    TertuliaEngine.open(backends = HostBackends(chat = rules)).use { engine ->
        val session = engine.createSession(SessionConfig(native = "en", target = "es"))
        session.sendText(words.joinToString(" "))
        session.events.takeWhile { it.kind !is TertuliaEventKind.TurnFinished }.collect { event ->
            when (val kind = event.kind) {
                is TertuliaEventKind.ReplyTextDelta -> print(kind.text)
                is TertuliaEventKind.TurnFailed -> error(kind.error.detail)
                else -> {}
            }
        }
        println()
    }
}
