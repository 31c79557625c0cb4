/** Interfaces of backends that the host writes. */
package dev.tertulia

import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.flow

/**
 * The backends of the host's; null for a role that has a model of the options, or nothing.
 *
 * Recognizers, chat models and synthesizers run in coroutines on threads for blocking work. A request that is not wanted
 * any more is cancelled. What they throw is an error of the code [ErrorCode.HOST_CALLBACK] with its text, and a
 * [TertuliaException] one of its own code.
 */
class HostBackends(
    val vad: VadModel? = null,
    val recognizer: Recognizer? = null,
    val chat: ChatModel? = null,
    val synthesizer: Synthesizer? = null,
)

/** Speech to text. */
interface Recognizer {
    /** Its name and abilities; asked for once. */
    val info: RecognizerInfo

    /** Recognises an utterance: any number of partial transcripts, then the final one. */
    fun recognize(request: RecognitionRequest): Flow<RecognitionStep>
}

/** A result of a recognizer. */
sealed interface RecognitionStep {
    /** A partial transcript, which replaces the one before; its first [stableLength] UTF-16 units will not change. */
    data class Partial(val text: String, val stableLength: Int = 0) : RecognitionStep

    /** The transcript of the utterance. */
    data class Final(val transcript: SpeechTranscript) : RecognitionStep
}

/** Replies. */
interface ChatModel {
    /** Its name and abilities; asked for once. */
    val info: ChatModelInfo

    /** The reply to the last message, in parts of whole characters. */
    fun reply(request: ChatRequest): Flow<String>
}

/** Text to speech. */
interface Synthesizer {
    /** Its name and abilities; asked for once. */
    val info: SynthesizerInfo

    /** Speech, in chunks that cover the request's text without gap. */
    fun synthesize(request: SynthesisRequest): Flow<SpeechChunk>
}

/** A chunk of speech: mono samples of -1 to 1 that speak the UTF-16 units [textSpan] of the request's text. */
class SpeechChunk(
    val samples: FloatArray,
    val rate: Int,
    val textSpan: IntRange,
    /** Its words, with samples of the chunk; empty where the voice has no word times. */
    val words: List<SpokenWord> = emptyList(),
) {
    internal companion object {
        fun lifted(raw: dev.tertulia.generated.SpeechChunk, text: String) =
            SpeechChunk(
                floatSamples(raw.pcm),
                raw.rate.toInt(),
                raw.textSpan.rangeIn(text),
                raw.words.map { word -> word.lifted { it.rangeIn(text) } },
            )
    }
}

/** Voice activity detection. */
interface VadModel {
    /** Its name and frames; asked for once. */
    val info: VadInfo

    /** A detector with empty state, for one stream of audio. */
    fun open(): Vad
}

/** A voice activity detector of one stream of audio. It runs on an audio thread: it must not wait. */
interface Vad {
    /** The probability of speech, 0 to 1, in the next frame. */
    fun process(frame: FloatArray): Float

    /** Empties the state. */
    fun reset()
}

/** A recognizer that gives final transcripts alone. */
fun Recognizer(info: RecognizerInfo, recognize: suspend (RecognitionRequest) -> SpeechTranscript): Recognizer =
    object : Recognizer {
        override val info = info

        override fun recognize(request: RecognitionRequest) = flow<RecognitionStep> {
            emit(RecognitionStep.Final(recognize(request)))
        }
    }

/** A chat model from a function. */
fun ChatModel(info: ChatModelInfo, reply: (ChatRequest) -> Flow<String>): ChatModel =
    object : ChatModel {
        override val info = info

        override fun reply(request: ChatRequest) = reply(request)
    }

/** A synthesizer from a function. */
fun Synthesizer(info: SynthesizerInfo, synthesize: (SynthesisRequest) -> Flow<SpeechChunk>): Synthesizer =
    object : Synthesizer {
        override val info = info

        override fun synthesize(request: SynthesisRequest) = synthesize(request)
    }
