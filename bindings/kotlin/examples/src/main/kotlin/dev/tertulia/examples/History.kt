/** A browser of the stored conversations. */
package dev.tertulia.examples

import dev.tertulia.EngineOptions
import dev.tertulia.ModelChoices
import dev.tertulia.SessionQuery
import dev.tertulia.TertuliaEngine
import kotlinx.coroutines.runBlocking

/** `HistoryKt STORE list [TEXT] | show SESSION | export SESSION FILE` */
fun main(arguments: Array<String>) = runBlocking {
    val none = ModelChoices("none", "none", "none", "none", "none")
    TertuliaEngine.open(EngineOptions(store = arguments[0], models = none)).use { engine ->
        when (arguments[1]) {
            "list" -> engine.list(arguments.getOrNull(2))
            "show" -> engine.show(arguments[2])
            "export" -> println("${engine.exportSession(arguments[2], arguments[3]).turns} turns in ${arguments[3]}")
            else -> error("list [TEXT], show SESSION or export SESSION FILE")
        }
    }
}

private fun TertuliaEngine.list(text: String?) {
    var page = sessions(SessionQuery(text = text))
    while (true) {
        page.sessions.forEach { println("${it.id}  ${it.turns} turns  ${it.title}") }
        page.damaged.forEach { println("$it  damaged") }
        page = sessions(SessionQuery(text = text), page.next ?: return)
    }
}

private fun TertuliaEngine.show(session: String) {
    var page = turns(session)
    while (true) {
        page.turns.forEach { println("${it.turn}  ${it.userText}\n   ${it.replyText}") }
        page = turns(session, page.next ?: return)
    }
}
