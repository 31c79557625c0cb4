package dev.tertulia

import kotlinx.coroutines.CompletableDeferred
import kotlinx.coroutines.CancellationException
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.awaitCancellation
import kotlinx.coroutines.channels.Channel
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.delay
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.flow.flow
import kotlinx.coroutines.launch
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.withTimeout
import java.nio.ByteBuffer
import java.nio.ByteOrder
import kotlin.test.Test
import kotlin.test.assertContains
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertIs
import kotlin.test.assertTrue
import kotlin.time.Duration.Companion.milliseconds
import kotlin.time.Duration.Companion.seconds

/** Turns on backends of the host's. */
class TurnTest {
    @Test
    fun `a spoken turn`() = runBlocking {
        TertuliaEngine.open(backends = backends()).use { engine ->
            engine.createSession(ALOUD).use { session ->
                SOUND.toList().chunked(320).forEach { session.pushAudio(it.toFloatArray(), RATE) }
                val turn = session.endUtterance()
                val events = session.until(::isEnd)
                assertIs<TertuliaEventKind.SessionOpened>(events.first().kind)
                assertEquals(events.map { it.seq }, (1uL..events.size.toULong()).toList())
                assertEquals(SAID, events.kinds<TertuliaEventKind.TranscriptDone>().single().transcript.text)
                assertEquals(REPLY, events.kinds<TertuliaEventKind.TurnFinished>().single().replyText)
                assertEquals(turn, events.last().turn)
                val chunks = events.kinds<TertuliaEventKind.ReplyAudioDelta>()
                assertEquals(REPLY, chunks.joinToString("") { REPLY.substring(it.textSpan) })
                assertEquals("Adiós,", REPLY.substring(chunks[2].words.single().textSpan), "behind an emoji")
                assertEquals("señor.", REPLY.substring(chunks.last().words.single().textSpan))
                assertEquals(0.25f, chunks.first().samples().first())
                assertContains(events.last().json(), "\"type\":\"turn_finished\"")
                val record = engine.turns(session.id).turns.single()
                assertEquals(listOf(SAID, REPLY), listOf(record.userText, record.replyText))
            }
        }
    }

    @Test
    fun `audio of each form is the same audio`() = runBlocking<Unit> {
        val requests = mutableListOf<FloatArray>()
        TertuliaEngine.open(backends = backends(recognizer(before = { requests += it.samples }))).use { engine ->
            val direct = ByteBuffer.allocateDirect(SOUND.size * 4).order(ByteOrder.LITTLE_ENDIAN)
            direct.asFloatBuffer().put(SOUND)
            val pushes = listOf<TertuliaSession.() -> Unit>(
                { pushAudio(SOUND, RATE) },
                { pushAudio(ShortArray(SOUND.size) { (SOUND[it] * 32_768).toInt().toShort() }, RATE) },
                { pushAudio(direct, RATE) },
                { pushAudio(ByteBuffer.wrap(floatPcm(SOUND)), RATE) },
                { pushInterleaved(FloatArray(SOUND.size * 2) { SOUND[it / 2] }, 2, RATE) },
                { pushAudio(FloatArray(8) + SOUND, RATE, from = 8) },
            )
            for (push in pushes) {
                engine.createSession(ALOUD).use { session ->
                    session.push()
                    session.endUtterance()
                    session.until(::isEnd)
                }
            }
        }
        requests.forEach { assertEquals(requests.first().toList(), it.toList()) }
        assertEquals(6, requests.size)
        assertTrue(requests.first().size >= RATE)
    }

    @Test
    fun `an exception in a backend is HostCallback with its text`() = runBlocking<Unit> {
        val failing = chat { flow { throw IllegalStateException("no quota left", RuntimeException("tenant 7")) } }
        TertuliaEngine.open(backends = backends(chat = failing)).use { engine ->
            engine.createSession(ALOUD).use { session ->
                session.sendText("Hola.")
                val failed = assertIs<TertuliaEventKind.TurnFailed>(session.until(::isEnd).last().kind)
                assertEquals(TurnStage.REPLY, failed.stage)
                assertEquals(ErrorCode.HOST_CALLBACK, failed.error.code)
                assertContains(failed.error.detail, "no quota left")
                assertContains(failed.error.detail, "tenant 7")
            }
        }
    }

    @Test
    fun `an error that is no exception, and one before the flow, are HostCallback too`() = runBlocking<Unit> {
        val failing = chat { throw NotImplementedError("not yet") }
        val deaf = recognizer(before = { throw TertuliaException(ErrorCode.RECOGNIZER_FAILED, "a code of its own") })
        TertuliaEngine.open(backends = backends(recognizer = deaf, chat = failing)).use { engine ->
            engine.createSession(ALOUD).use { session ->
                session.sendText("Hola.")
                val failed = assertIs<TertuliaEventKind.TurnFailed>(session.until(::isEnd).last().kind)
                assertEquals(ErrorCode.HOST_CALLBACK, failed.error.code)
                assertContains(failed.error.detail, "not yet")
                session.pushAudio(SOUND, RATE)
                session.endUtterance()
                val second = assertIs<TertuliaEventKind.TurnFailed>(session.until(::isEnd).last().kind)
                assertEquals(ErrorCode.RECOGNIZER_FAILED, second.error.code)
                assertContains(second.error.detail, "a code of its own")
            }
        }
        val nameless = object : ChatModel by chat() {
            override val info: ChatModelInfo get() = error("no name")
        }
        val error = assertFailsWith<TertuliaException> { TertuliaEngine.open(backends = HostBackends(chat = nameless)) }
        assertEquals(ErrorCode.HOST_CALLBACK, error.code)
        assertContains(error.detail, "no name")
    }

    @Test
    fun `an interruption cancels the backend's coroutine`() = runBlocking<Unit> {
        val begun = CompletableDeferred<Unit>()
        val cancelled = CompletableDeferred<Unit>()
        val endless = chat {
            flow {
                emit("Espera ")
                begun.complete(Unit)
                try {
                    awaitCancellation()
                } catch (error: CancellationException) {
                    cancelled.complete(Unit)
                    throw error
                }
            }
        }
        TertuliaEngine.open(backends = backends(chat = endless)).use { engine ->
            engine.createSession(ALOUD).use { session ->
                session.sendText("Hola.")
                begun.await()
                session.interrupt()
                withTimeout(5.seconds) { cancelled.await() }
                assertIs<TertuliaEventKind.TurnInterrupted>(session.until(::isEnd).last().kind)
            }
        }
    }

    @Test
    fun `an interruption wakes a backend at once`() = runBlocking<Unit> {
        val woken = Channel<Long>(Channel.UNLIMITED)
        val endless = chat {
            flow {
                emit("Espera ")
                try {
                    awaitCancellation()
                } finally {
                    woken.trySend(System.nanoTime())
                }
            }
        }
        TertuliaEngine.open(backends = backends(chat = endless)).use { engine ->
            engine.createSession(ALOUD).use { session ->
                val took = List(20) {
                    session.sendText("Hola.")
                    session.until { it.kind is TertuliaEventKind.ReplyTextDelta }
                    val start = System.nanoTime()
                    session.interrupt()
                    val end = withTimeout(5.seconds) { woken.receive() }
                    session.until(::isEnd)
                    (end - start) / 1_000_000.0
                }
                assertTrue(took.sorted()[5] < 5, "ms: $took")
            }
        }
    }

    @Test
    fun `cancelling a job between two items wakes its backend`() = runBlocking<Unit> {
        val woken = CompletableDeferred<Unit>()
        val endless = Synthesizer(voice().info) { request ->
            flow {
                voice().synthesize(request).collect { emit(it) }
                try {
                    awaitCancellation()
                } finally {
                    woken.complete(Unit)
                }
            }
        }
        TertuliaEngine.open(backends = backends(synthesizer = endless)).use { engine ->
            engine.synthesize(SynthesisRequest("Hola", listOf("es"))).first()
            withTimeout(5.seconds) { woken.await() }
        }
    }

    @Test
    fun `a backend that hangs blocks nobody else`() = runBlocking<Unit> {
        val begun = CompletableDeferred<Unit>()
        val hung = chat {
            flow<String> {
                begun.complete(Unit)
                Thread.sleep(60_000)
            }
        }
        val engine = TertuliaEngine.open(backends = backends(chat = hung))
        val session = engine.createSession(ALOUD)
        session.sendText("Hola.")
        begun.await()
        TertuliaEngine.open(backends = backends()).use { other ->
            other.createSession(ALOUD).use {
                it.sendText("Hola.")
                assertIs<TertuliaEventKind.TurnFinished>(it.until(::isEnd).last().kind)
            }
        }
        session.interrupt()
        assertIs<TertuliaEventKind.TurnInterrupted>(session.until(::isEnd).last().kind)
        session.say("Otra cosa.")
        assertIs<TertuliaEventKind.TurnFinished>(session.until(::isEnd).last().kind)
        val start = System.nanoTime()
        engine.close()
        assertTrue(System.nanoTime() - start < 5_000_000_000, "shutting down waited for the backend")
    }

    @Test
    fun `a barge-in with heard text in whole characters`() = runBlocking<Unit> {
        val continuous = TALK.copy(
            listening = Listening(mode = ListeningMode.CONTINUOUS, interruptMs = 200u),
            playback = Playback.REPORTED,
        )
        TertuliaEngine.open(backends = backends(recognizer = recognizer("Espera un momento."))).use { engine ->
            engine.createSession(continuous).use { session ->
                val turn = session.say(REPLY)
                val chunks = session.until { it.kind is TertuliaEventKind.ReplyAudioDone }
                    .kinds<TertuliaEventKind.ReplyAudioDelta>()
                val word = chunks.flatMap { it.words }.single { REPLY.substring(it.textSpan) == "Adiós," }
                val played = (word.samples.last + 1).toULong()
                session.played(turn, played)
                // A microphone gives its blocks in real time.
                val events = coroutineScope {
                    val microphone = launch(Dispatchers.Default) {
                        while (true) {
                            session.pushAudio(SOUND, RATE, 0, 320)
                            delay(20.milliseconds)
                        }
                    }
                    try {
                        session.until {
                            if (it.kind == TertuliaEventKind.PlaybackFlush) session.played(turn, played)
                            it.kind is TertuliaEventKind.TurnInterrupted
                        }
                    } finally {
                        microphone.cancel()
                    }
                }
                val interrupted = events.kinds<TertuliaEventKind.TurnInterrupted>().single()
                assertEquals(InterruptReason.BARGE_IN, interrupted.reason)
                assertEquals(REPLY.substring(0..word.textSpan.last), interrupted.heardText)
            }
        }
    }

    @Test
    fun `text that is no valid UTF-16 is InvalidArgument`() = runBlocking<Unit> {
        TertuliaEngine.open(backends = backends()).use { engine ->
            engine.createSession(ALOUD).use { session ->
                val error = assertFailsWith<TertuliaException> { session.sendText("\uD83D") }
                assertEquals(ErrorCode.INVALID_ARGUMENT, error.code)
            }
        }
    }

    @Test
    fun `events stay for the next collector, and a second one at once is EventsTaken`() = runBlocking<Unit> {
        TertuliaEngine.open(backends = backends(chat = chat { flow { emit("Hola."); delay(200) } })).use { engine ->
            engine.createSession(ALOUD).use { session ->
                session.next<TertuliaEventKind.SessionOpened>()
                session.sendText("Hola.")
                assertEquals(2uL, session.until { true }.single().seq)
                val other = engine.sessionHandle(session.id)
                val error = assertFailsWith<TertuliaException> { other.nextEvent(0.seconds) }
                assertEquals(ErrorCode.EVENTS_TAKEN, error.code)
                session.until(::isEnd)
                session.close()
                assertIs<TertuliaEventKind.SessionClosed>(session.until { false }.last().kind)
                val closed = assertFailsWith<TertuliaException> { session.until { false } }
                assertEquals(ErrorCode.SESSION_CLOSED, closed.code)
            }
        }
    }

    @Test
    fun `a recording that is listened to, and speech without a session`() = runBlocking<Unit> {
        TertuliaEngine.open(backends = backends()).use { engine ->
            assertEquals(SAID, engine.transcribe(SOUND, RATE).text)
            val chunks = mutableListOf<SpeechChunk>()
            engine.synthesize(SynthesisRequest(REPLY, listOf("es"))).collect { chunks += it }
            assertEquals(REPLY, chunks.joinToString("") { REPLY.substring(it.textSpan) })
            val events = mutableListOf<TertuliaEvent>()
            engine.listen(SOUND + FloatArray(RATE * 4), RATE, listOf("es")).collect { events += it }
            assertEquals(SAID, events.kinds<TertuliaEventKind.TranscriptDone>().single().transcript.text)
        }
    }
}
