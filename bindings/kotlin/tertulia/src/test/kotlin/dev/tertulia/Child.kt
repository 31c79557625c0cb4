package dev.tertulia

import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.awaitCancellation
import kotlinx.coroutines.delay
import kotlinx.coroutines.flow.flow
import kotlinx.coroutines.launch
import kotlinx.coroutines.runBlocking
import java.io.File
import java.util.concurrent.TimeUnit
import kotlin.system.exitProcess

/** A JVM of its own that runs one of the scenes below. */
class Child(scene: String, vararg arguments: String) {
    val process: Process =
        ProcessBuilder(
            listOf(
                File(System.getProperty("java.home"), "bin/java").path,
                "-Djna.library.path=${System.getProperty("jna.library.path")}",
                "-cp", System.getProperty("surefire.test.class.path") ?: System.getProperty("java.class.path"),
                "dev.tertulia.ChildKt", scene,
            ) + arguments,
        ).redirectError(ProcessBuilder.Redirect.INHERIT).start()
    private val output = process.inputStream.bufferedReader()

    /** The next line that it prints. */
    fun line(): String? = output.readLine()

    /** Its exit code and the time since it said that it leaves. */
    fun leave(): Pair<Int, Long> {
        check(line() == "leaving")
        val start = System.nanoTime()
        check(process.waitFor(30, TimeUnit.SECONDS)) { "it does not end" }
        return process.exitValue() to (System.nanoTime() - start) / 1_000_000
    }
}

private val hung = chat {
    flow<String> {
        println("waiting")
        Thread.sleep(60_000)
    }
}

private val hungRecognizer = recognizer(before = {
    println("waiting")
    Thread.sleep(60_000)
})

/** The scenes. Each leaves with engines that were not closed. */
fun main(arguments: Array<String>) = runBlocking {
    when (arguments[0]) {
        "killed" -> killed(arguments[1])
        "open" -> TertuliaEngine.open(backends = backends()).createSession(ALOUD).say(REPLY).let { leave() }
        "callback" -> {
            val engine = TertuliaEngine.open(backends = backends(chat = hung))
            engine.createSession(ALOUD).sendText("Hola.")
            delay(300)
            leave()
        }
        "job" -> {
            val engine = TertuliaEngine.open(backends = backends(hungRecognizer))
            launch(Dispatchers.Default) { engine.transcribe(SOUND, RATE) }
            delay(300)
            leave()
        }
        "speaking" -> {
            val engine = TertuliaEngine.open(backends = backends())
            val session = engine.createSession(ALOUD)
            launch(Dispatchers.Default) { session.events.collect { } }
            repeat(5) { session.say(REPLY) }
            session.pushAudio(SOUND, RATE)
            leave()
        }
        "unreachable" -> {
            repeat(5) { TertuliaEngine.open(backends = backends()).createSession(ALOUD).say(REPLY) }
            System.gc()
            leave()
        }
        else -> error("no such scene: ${arguments[0]}")
    }
}

private fun leave() {
    println("leaving")
    exitProcess(0)
}

private suspend fun killed(store: String) {
    val slow = chat { request ->
        flow {
            emit("Un momento. ")
            if (request.messages.last().content.contains("Otra")) awaitCancellation()
        }
    }
    val engine = TertuliaEngine.open(EngineOptions(store = store), backends(chat = slow))
    val session = engine.createSession(ALOUD)
    println(session.id)
    session.sendText("Hola.")
    session.until(::isEnd)
    session.sendText("Otra vez.")
    session.until { it.kind is TertuliaEventKind.ReplyTextDelta }
    println("speaking")
    awaitCancellation()
}
