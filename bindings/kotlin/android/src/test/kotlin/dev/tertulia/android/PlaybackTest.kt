package dev.tertulia.android

import dev.tertulia.ChatModel
import dev.tertulia.ChatModelInfo
import dev.tertulia.HostBackends
import dev.tertulia.Playback
import dev.tertulia.SessionConfig
import dev.tertulia.SpeechChunk
import dev.tertulia.SpokenWord
import dev.tertulia.Synthesizer
import dev.tertulia.SynthesizerInfo
import dev.tertulia.TertuliaEngine
import dev.tertulia.TertuliaEvent
import dev.tertulia.TertuliaEventKind
import dev.tertulia.TertuliaSession
import dev.tertulia.VoiceInfo
import kotlinx.coroutines.flow.flow
import kotlinx.coroutines.flow.flowOf
import kotlinx.coroutines.flow.toList
import kotlinx.coroutines.flow.transformWhile
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.withTimeout
import java.util.concurrent.CopyOnWriteArrayList
import kotlin.test.AfterTest
import kotlin.test.Test
import kotlin.test.assertEquals
import kotlin.test.assertTrue

/** Replies of a real session at a loudspeaker. */
class PlaybackTest {
    private val devices = FakeDevices()
    private val faults = CopyOnWriteArrayList<AudioFault>()
    private val voice = Synthesizer(SynthesizerInfo("voice", listOf("es"), listOf(VoiceInfo("ana", "es")))) { request ->
        flow {
            for (word in Regex("\\S+\\s*").findAll(request.text)) {
                val range = word.range.first until word.range.first + word.value.trim().length
                emit(SpeechChunk(FloatArray(1_600), 16_000, word.range, listOf(SpokenWord(range, "es", 0L until 1_600L))))
            }
        }
    }
    private val engine = TertuliaEngine.open(
        backends = HostBackends(
            chat = ChatModel(ChatModelInfo("chat", listOf("es"))) { flowOf("Uno dos tres.") },
            synthesizer = voice,
        ),
    )
    private val session = engine.createSession(SessionConfig("en", "es", playback = Playback.REPORTED))
    private val audio = SessionAudio(session, devices) { fault, _ -> faults += fault }.also { it.start() }

    @AfterTest
    fun close() {
        audio.close()
        engine.close()
    }

    private suspend fun play(session: TertuliaSession, last: (TertuliaEvent) -> Boolean) = withTimeout(20_000) {
        audio.playing(session.events).transformWhile {
            emit(it)
            !last(it)
        }.toList()
    }

    @Test
    fun `a reply is played, and the turn finishes by its reports`() = runBlocking<Unit> {
        session.sendText("Hola.")
        val events = play(session) { it.kind is TertuliaEventKind.TurnFinished }
        val total = events.map { it.kind }.filterIsInstance<TertuliaEventKind.ReplyAudioDone>().single().samplesTotal
        assertEquals(total.toLong(), devices.speakers.single().written)
    }

    @Test
    fun `an interruption flushes, and the heard text ends where the playback did`() = runBlocking<Unit> {
        devices.limit = 3_300
        session.say("Uno dos tres cuatro cinco.")
        play(session) { it.kind is TertuliaEventKind.ReplyAudioDone }
        for (attempt in 1..200) if (devices.speakers.firstOrNull()?.written != 8_000L) Thread.sleep(10)
        session.interrupt()
        val events = play(session) { it.kind is TertuliaEventKind.TurnInterrupted }
        assertEquals("Uno dos", (events.last().kind as TertuliaEventKind.TurnInterrupted).heardText)
        assertTrue("flush" in devices.speakers.first().calls)
        assertTrue("close" in devices.speakers.first().calls)
    }

    @Test
    fun `a call pauses the loudspeaker`() = runBlocking<Unit> {
        session.say("Uno dos tres.")
        play(session) { it.kind is TertuliaEventKind.ReplyAudioDone }
        for (attempt in 1..200) if (devices.speakers.isEmpty()) Thread.sleep(10)
        devices.news!!.focusLost()
        assertEquals("pause", devices.speakers.single().calls.last())
        devices.news!!.focusGained()
        assertEquals("resume", devices.speakers.single().calls.last())
        play(session) { it.kind is TertuliaEventKind.TurnFinished }
    }

    @Test
    fun `a loudspeaker that is gone is opened again, and the turn finishes`() = runBlocking<Unit> {
        session.say("Uno dos tres cuatro cinco seis siete ocho nueve diez.")
        play(session) { it.kind is TertuliaEventKind.ReplyAudioDelta }
        for (attempt in 1..200) if (devices.speakers.isEmpty()) Thread.sleep(10)
        devices.speakers.single().limit = 800
        devices.speakers.single().result = -6
        play(session) { it.kind is TertuliaEventKind.TurnFinished }
        assertTrue(devices.speakers.size <= 2)
    }
}
