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
import kotlin.time.Duration.Companion.seconds

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
        "open" -> {
            val engine = TertuliaEngine.open(backends = backends())
            engine.createSession(ALOUD).say(REPLY)
            leave(arguments[1], engine)
        }
        "reader" -> {
            val engine = TertuliaEngine.open(backends = backends())
            val session = engine.createSession(ALOUD)
            launch(Dispatchers.Default) {
                println("waiting")
                session.events.collect { }
            }
            delay(300)
            leave(arguments[1], engine)
        }
        "model" -> {
            val engine = loaded() ?: return@runBlocking
            println("waiting")
            leave(arguments[1], engine)
        }
        "callback" -> {
            val engine = TertuliaEngine.open(backends = backends(chat = hung))
            engine.createSession(ALOUD).sendText("Hola.")
            delay(300)
            leave(arguments[1], engine)
        }
        "job" -> {
            val engine = TertuliaEngine.open(backends = backends(hungRecognizer))
            launch(Dispatchers.Default) { engine.transcribe(SOUND, RATE) }
            delay(300)
            leave(arguments[1], engine)
        }
        "speaking" -> {
            val engine = TertuliaEngine.open(backends = backends())
            val session = engine.createSession(ALOUD)
            launch(Dispatchers.Default) { session.events.collect { } }
            repeat(5) { session.say(REPLY) }
            session.pushAudio(SOUND, RATE)
            leave(arguments[1], engine)
        }
        "unreachable" -> {
            repeat(5) { TertuliaEngine.open(backends = backends()).createSession(ALOUD).say(REPLY) }
            System.gc()
            leave("exit", null)
        }
        else -> error("no such scene: ${arguments[0]}")
    }
}

private suspend fun leave(end: String, engine: TertuliaEngine?) {
    println("leaving")
    if (end == "shut") engine?.shutDown(1.seconds)
    exitProcess(0)
}

/** An engine with the library's recogniser and its voice activity detection, both loaded; null where it has none. */
private suspend fun loaded(): TertuliaEngine? {
    val models = ModelChoices(turnDetector = "none", chat = "none", synthesizer = "none")
    return try {
        ModelStore().list()
        TertuliaEngine.open(EngineOptions(models = models)).also { it.preload() }
    } catch (error: TertuliaException) {
        if (error.code != ErrorCode.UNSUPPORTED && error.code != ErrorCode.MODEL_MISSING) throw error
        println("skipped: the library has no models, or their files are not there: ${error.message}")
        null
    }
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
