package dev.tertulia

import kotlinx.coroutines.awaitCancellation
import kotlinx.coroutines.delay
import kotlinx.coroutines.flow.flow
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.withTimeoutOrNull
import kotlin.test.Test
import kotlin.test.assertEquals
import kotlin.test.assertTrue
import kotlin.time.Duration.Companion.milliseconds
import kotlin.time.Duration.Companion.seconds

/** Stopping and closing in the middle of every stage. */
class StopTest {
    private val stages = listOf("decode", "recognise", "reply", "speak", "speech", "idle", "collect", "queued")

    @Test
    fun `a thousand engines, sessions and turns stopped at any stage`() = runBlocking<Unit> {
        val slow = backends(
            recognizer(before = { delay(2) }),
            chat {
                flow {
                    emit("Uno. ")
                    delay(2)
                    emit("Dos.")
                }
            },
            Synthesizer(voice().info) { request ->
                flow {
                    delay(2)
                    voice().synthesize(request).collect { emit(it) }
                }
            },
        )
        val counts = HashMap<String, Int>()
        // One engine in ten closed; sessions each time.
        repeat(100) {
            val engine = TertuliaEngine.open(backends = slow)
            repeat(10) { round ->
                val stage = stages[counts.values.sum() % stages.size]
                counts.merge(stage, 1, Int::plus)
                stopIn(stage, engine, isLast = round == 9)
            }
            assertEquals(emptyList(), engine.shutDown(5.seconds), "nothing runs any more")
        }
        assertEquals(1_000, counts.values.sum())
        assertTrue(counts.values.all { it == 125 })
    }

    private suspend fun stopIn(stage: String, engine: TertuliaEngine, isLast: Boolean) {
        val session = engine.createSession(ALOUD.copy(listening = Listening(mode = ListeningMode.CONTINUOUS)))
        when (stage) {
            "decode" -> session.pushEncoded(wav())
            "recognise" -> {
                session.pushAudio(SOUND, RATE)
                session.endUtterance()
            }
            "reply" -> session.sendText("Hola.")
            "speak" -> session.say(REPLY)
            "speech" -> session.pushAudio(SOUND, RATE)
            "queued" -> repeat(3) { session.say(REPLY) }
        }
        session.until {
            when (stage) {
                "decode", "recognise" -> it.kind is TertuliaEventKind.TurnStarted
                "reply" -> it.kind is TertuliaEventKind.ReplyTextDelta
                "speak" -> it.kind is TertuliaEventKind.ReplyTextDone
                "speech" -> it.kind is TertuliaEventKind.SpeechStarted
                "queued" -> it.kind is TertuliaEventKind.ReplyAudioDelta
                else -> true
            }
        }
        if (stage == "collect") {
            withTimeoutOrNull(1.milliseconds) { session.events.collect { awaitCancellation() } }
        }
        session.interruptAll()
        // The last session of each engine is closed by its shutting down.
        if (!isLast) session.close()
    }

    private fun wav(): ByteArray {
        val pcm = ByteArray(RATE * 2)
        SOUND.forEachIndexed { at, sample ->
            val value = (sample * 32_767).toInt()
            pcm[at * 2] = value.toByte()
            pcm[at * 2 + 1] = (value shr 8).toByte()
        }
        return wavFile(RATE, pcm)
    }
}

/** A WAV file of mono 16-bit samples. */
fun wavFile(rate: Int, pcm: ByteArray): ByteArray {
    val header = java.nio.ByteBuffer.allocate(44).order(java.nio.ByteOrder.LITTLE_ENDIAN)
    header.put("RIFF".toByteArray()).putInt(36 + pcm.size).put("WAVEfmt ".toByteArray()).putInt(16)
    header.putShort(1).putShort(1).putInt(rate).putInt(rate * 2).putShort(2).putShort(16)
    header.put("data".toByteArray()).putInt(pcm.size)
    return header.array() + pcm
}
