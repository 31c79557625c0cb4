/** One turn of a conversation on the built-in models: a recording in, the reply as a WAV file out. */
package dev.tertulia.examples

import dev.tertulia.Playback
import dev.tertulia.SessionConfig
import dev.tertulia.TertuliaEngine
import dev.tertulia.TertuliaEventKind
import kotlinx.coroutines.flow.takeWhile
import kotlinx.coroutines.runBlocking
import java.io.ByteArrayInputStream
import java.io.File
import javax.sound.sampled.AudioFileFormat
import javax.sound.sampled.AudioFormat
import javax.sound.sampled.AudioInputStream
import javax.sound.sampled.AudioSystem

/** `TalkKt QUESTION.wav REPLY.wav` */
fun main(arguments: Array<String>) = runBlocking {
    TertuliaEngine.open().use { engine ->
        // Audio counts as played once it is here: there is no loudspeaker.
        val session = engine.createSession(SessionConfig("en", "es", playback = Playback.ASSUMED))
        session.pushEncoded(File(arguments[0]).readBytes())
        val samples = mutableListOf<FloatArray>()
        var rate = 0
        session.events.takeWhile { it.kind !is TertuliaEventKind.TurnFinished }.collect { event ->
            when (val kind = event.kind) {
                is TertuliaEventKind.TranscriptDone -> println("- ${kind.transcript.text}")
                is TertuliaEventKind.ReplyTextDone -> println("- ${kind.text}")
                is TertuliaEventKind.ReplyAudioDelta -> {
                    rate = kind.rate
                    samples += kind.samples()
                }
                is TertuliaEventKind.TurnFailed -> error("${kind.stage}: ${kind.error.detail}")
                else -> {}
            }
        }
        writeWav(File(arguments[1]), rate, samples)
    }
}

/** Writes mono samples as a WAV file of 16 bits. */
fun writeWav(file: File, rate: Int, blocks: List<FloatArray>) {
    val pcm = blocks.flatMap { block -> block.map { (it.coerceIn(-1f, 1f) * 32_767).toInt() } }
    val bytes = ByteArray(pcm.size * 2) { (pcm[it / 2] shr it % 2 * 8).toByte() }
    val format = AudioFormat(rate.toFloat(), 16, 1, true, false)
    AudioSystem.write(AudioInputStream(ByteArrayInputStream(bytes), format, pcm.size.toLong()), AudioFileFormat.Type.WAVE, file)
}
