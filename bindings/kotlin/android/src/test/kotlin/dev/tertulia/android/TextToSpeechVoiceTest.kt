package dev.tertulia.android

import android.media.AudioFormat
import android.speech.tts.TextToSpeech
import android.speech.tts.UtteranceProgressListener
import dev.tertulia.ErrorCode
import dev.tertulia.SpeechChunk
import dev.tertulia.SynthesisRequest
import dev.tertulia.TertuliaException
import kotlinx.coroutines.async
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.withTimeout
import kotlinx.coroutines.yield
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.RobolectricTestRunner
import org.robolectric.RuntimeEnvironment
import org.robolectric.Shadows.shadowOf
import org.robolectric.annotation.Config
import java.io.File
import java.nio.ByteBuffer
import java.nio.ByteOrder
import kotlin.test.assertContains
import kotlin.test.assertEquals
import kotlin.test.assertIs

/** Android's voice as a synthesizer, told by the platform what it made. */
@RunWith(RobolectricTestRunner::class)
@Config(sdk = [34], manifest = Config.NONE)
class TextToSpeechVoiceTest {
    private val request = SynthesisRequest("¡Hola 😀 señor!", listOf("es-MX"), null, 1f, null)
    private lateinit var file: File

    /** The result of a request, after the platform told [act] of it. */
    private fun speech(act: (String, UtteranceProgressListener) -> Unit): Result<SpeechChunk> = runBlocking {
        val context = RuntimeEnvironment.getApplication()
        val platform = TextToSpeech(context) {}
        val shadow = shadowOf(platform)
        val speech = async { runCatching { TextToSpeechVoice(platform, listOf("es"), context.cacheDir).synthesize(request).first() } }
        withTimeout(10_000) { while (shadow.lastSynthesizeToFile == null) yield() }
        file = shadow.lastSynthesizeToFile
        act(file.nameWithoutExtension, shadow.utteranceProgressListener)
        assertEquals("es", shadow.currentLanguage.language)
        withTimeout(10_000) { speech.await() }
    }

    private fun pcm(vararg samples: Short): ByteArray =
        ByteBuffer.allocate(samples.size * 2).order(ByteOrder.LITTLE_ENDIAN).also { it.asShortBuffer().put(samples) }.array()

    @Test
    fun `speech with the times of its words`() {
        val chunk = speech { id, platform ->
            platform.onStart(id)
            platform.onBeginSynthesis(id, 22_050, AudioFormat.ENCODING_PCM_16BIT, 1)
            platform.onRangeStart(id, 0, 5, 0)
            platform.onAudioAvailable("another", pcm(9, 9))
            platform.onAudioAvailable(id, pcm(0, 16_384, 0))
            platform.onRangeStart(id, 9, 15, 3)
            platform.onAudioAvailable(id, pcm(-16_384))
            platform.onDone(id)
        }.getOrThrow()
        assertEquals(listOf(0f, 0.5f, 0f, -0.5f), chunk.samples.toList())
        assertEquals(22_050, chunk.rate)
        assertEquals(request.text.indices, chunk.textSpan)
        assertEquals(listOf("¡Hola", "señor!"), chunk.words.map { request.text.substring(it.textSpan) })
        assertEquals(listOf(0L..2L, 3L..3L), chunk.words.map { it.samples })
        assertEquals(false, file.exists())
    }

    @Test
    fun `stereo is averaged, and times outside the audio are left out`() {
        val chunk = speech { id, platform ->
            platform.onBeginSynthesis(id, 16_000, AudioFormat.ENCODING_PCM_16BIT, 2)
            platform.onRangeStart(id, 0, 5, 900)
            platform.onAudioAvailable(id, pcm(16_384, 0, 8_192, 8_192))
            platform.onDone(id)
        }.getOrThrow()
        assertEquals(listOf(0.25f, 0.25f), chunk.samples.toList())
        assertEquals(emptyList(), chunk.words)
    }

    @Test
    fun `an error of the platform is SynthesizerFailed`() {
        val error = speech { id, platform -> platform.onError(id, TextToSpeech.ERROR_NETWORK) }.exceptionOrNull()
        assertEquals(ErrorCode.SYNTHESIZER_FAILED, assertIs<TertuliaException>(error).code)
        assertContains(error.detail, "${TextToSpeech.ERROR_NETWORK}")
        val silent = speech { id, platform -> platform.onDone(id) }.exceptionOrNull()
        assertContains(assertIs<TertuliaException>(silent).detail, "0 Hz")
    }
}
