package dev.tertulia.android

import android.media.AudioFormat
import android.os.Bundle
import android.speech.tts.TextToSpeech
import android.speech.tts.UtteranceProgressListener
import dev.tertulia.ErrorCode
import dev.tertulia.SpeechChunk
import dev.tertulia.SpokenWord
import dev.tertulia.SynthesisRequest
import dev.tertulia.Synthesizer
import dev.tertulia.SynthesizerInfo
import dev.tertulia.TertuliaException
import kotlinx.coroutines.channels.awaitClose
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.callbackFlow
import java.io.ByteArrayOutputStream
import java.io.File
import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.util.Locale
import java.util.UUID

/**
 * Android's own voices as a synthesizer of the host's. The platform's engine must be ready (its `OnInitListener` was called
 * with SUCCESS), and belongs to this object then.
 *
 * @param folder a folder for the file that the platform writes at each request, such as the app's cache
 */
class TextToSpeechVoice(private val platform: TextToSpeech, languages: List<String>, private val folder: File) :
    Synthesizer {
    override val info = SynthesizerInfo("android-text-to-speech", languages)

    /** One request at a time, as the engine makes them: a chunk with the times of its words, where the voice tells them. */
    override fun synthesize(request: SynthesisRequest): Flow<SpeechChunk> = callbackFlow {
        val id = UUID.randomUUID().toString()
        val file = File(folder, "$id.wav")
        platform.language = Locale.forLanguageTag(request.languages.first())
        request.voice?.let { name -> platform.voices?.find { it.name == name }?.let { platform.voice = it } }
        platform.setSpeechRate(request.speed)
        val speech = Speech(request)
        platform.setOnUtteranceProgressListener(object : UtteranceProgressListener() {
            override fun onBeginSynthesis(utterance: String, rate: Int, format: Int, channels: Int) {
                if (utterance == id) speech.begin(rate, format, channels)
            }

            override fun onAudioAvailable(utterance: String, audio: ByteArray) {
                if (utterance == id) speech.bytes.write(audio)
            }

            override fun onRangeStart(utterance: String, start: Int, end: Int, frame: Int) {
                if (utterance == id) speech.words += Triple(start, end, frame)
            }

            override fun onStart(utterance: String) {}

            override fun onDone(utterance: String) {
                if (utterance != id) return
                val chunk = runCatching(speech::chunk)
                chunk.onSuccess { trySend(it) }
                close(chunk.exceptionOrNull())
            }

            @Deprecated("The platform still asks for it.")
            override fun onError(utterance: String) = onError(utterance, TextToSpeech.ERROR)

            override fun onError(utterance: String, code: Int) {
                if (utterance == id) close(failed("text to speech failed: error $code"))
            }
        })
        if (platform.synthesizeToFile(request.text, Bundle(), file, id) != TextToSpeech.SUCCESS) {
            close(failed("text to speech took no request"))
        }
        awaitClose {
            platform.stop()
            file.delete()
        }
    }

    private class Speech(private val request: SynthesisRequest) {
        val bytes = ByteArrayOutputStream()
        val words = mutableListOf<Triple<Int, Int, Int>>()
        private var rate = 0
        private var format = 0
        private var channels = 0

        fun begin(rate: Int, format: Int, channels: Int) {
            this.rate = rate
            this.format = format
            this.channels = channels
        }

        fun chunk(): SpeechChunk {
            if (rate <= 0 || channels <= 0) throw failed("text to speech gave audio of $rate Hz and $channels channels")
            val samples = mono(bytes.toByteArray())
            val ends = words.drop(1).map { it.third } + samples.size
            val language = request.languages.first()
            val spoken = words.zip(ends) { (start, end, frame), next ->
                SpokenWord(start until end, language, frame.toLong() until next)
            }
            // Times that no voice can mean are left out, not passed on.
            val isSound = spoken.all { it.samples.first <= it.samples.last + 1 && it.samples.last < samples.size } &&
                spoken.zipWithNext().all { (one, two) -> one.textSpan.last < two.textSpan.first }
            return SpeechChunk(samples, rate, request.text.indices, if (isSound) spoken else emptyList())
        }

        private fun mono(bytes: ByteArray): FloatArray {
            val buffer = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN)
            val sample: () -> Float = when (format) {
                AudioFormat.ENCODING_PCM_16BIT -> ({ buffer.getShort() / 32_768f })
                AudioFormat.ENCODING_PCM_FLOAT -> buffer::getFloat
                AudioFormat.ENCODING_PCM_8BIT -> ({ ((buffer.get().toInt() and 0xff) - 128) / 128f })
                else -> throw failed("text to speech gave audio of the encoding $format")
            }
            val width = when (format) {
                AudioFormat.ENCODING_PCM_16BIT -> 2
                AudioFormat.ENCODING_PCM_FLOAT -> 4
                else -> 1
            }
            return FloatArray(bytes.size / (width * channels)) {
                var sum = 0f
                repeat(channels) { sum += sample() }
                sum / channels
            }
        }
    }

    private companion object {
        fun failed(why: String) = TertuliaException(ErrorCode.SYNTHESIZER_FAILED, why)
    }
}
