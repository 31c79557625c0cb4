package dev.tertulia

import kotlinx.coroutines.flow.asFlow
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.flow.flow
import kotlinx.coroutines.flow.flowOf
import kotlinx.coroutines.flow.toList
import kotlinx.coroutines.flow.transformWhile
import kotlinx.coroutines.withTimeout
import kotlin.time.Duration.Companion.seconds

/** Backends of a host's, for tests: fixed words, a reply with accents and emoji, 10 ms of audio for each character. */
const val SAID = "Hola, ¿qué tal? 😀"
const val REPLY = "¡Muy bien! 👩‍🚀 Adiós, señor."
const val RATE = 16_000
const val SAMPLES_PER_UNIT = 160

val TALK = SessionConfig(native = "en", target = "es")
val ALOUD = TALK.copy(playback = Playback.ASSUMED)

fun recognizer(text: String = SAID, before: suspend (RecognitionRequest) -> Unit = {}) =
    object : Recognizer {
        override val info = RecognizerInfo("test-recognizer", listOf("es", "en"))

        override fun recognize(request: RecognitionRequest) = flow {
            before(request)
            emit(RecognitionStep.Partial(text, text.length))
            emit(RecognitionStep.Final(SpeechTranscript(text, language = "es")))
        }
    }

fun chat(reply: (ChatRequest) -> kotlinx.coroutines.flow.Flow<String> = { REPLY.split(Regex("(?<= )")).asFlow() }) =
    ChatModel(ChatModelInfo("test-chat", listOf("es", "en")), reply)

/** A chunk for each word, with its time. */
fun voice() =
    Synthesizer(SynthesizerInfo("test-voice", listOf("es", "en"), listOf(VoiceInfo("ana", "es")))) { request ->
        flow {
            for (word in Regex("\\S+\\s*").findAll(request.text)) {
                val samples = FloatArray(word.value.length * SAMPLES_PER_UNIT) { 0.25f }
                val spoken = SpokenWord(word.range.first..word.range.first + word.value.trimEnd().length - 1, "es", 0L until samples.size)
                emit(SpeechChunk(samples, RATE, word.range, listOf(spoken)))
            }
        }
    }

/** Loud frames are speech. */
fun loudness() =
    object : VadModel {
        override val info = VadInfo("test-vad")

        override fun open() =
            object : Vad {
                override fun process(frame: FloatArray) = if (frame.any { it > 0.1f }) 0.95f else 0.05f

                override fun reset() {}
            }
    }

fun backends(
    recognizer: Recognizer = recognizer(),
    chat: ChatModel = chat(),
    synthesizer: Synthesizer = voice(),
) = HostBackends(loudness(), recognizer, chat, synthesizer)

/** A second of sound. */
val SOUND = FloatArray(RATE) { if (it / 40 % 2 == 0) 0.25f else -0.25f }

/** The events up to the one that matches, which is the last. */
suspend fun TertuliaSession.until(last: (TertuliaEvent) -> Boolean): List<TertuliaEvent> = withTimeout(20.seconds) {
    events.transformWhile {
        emit(it)
        !last(it)
    }.toList()
}

suspend inline fun <reified T : TertuliaEventKind> TertuliaSession.next(): T = withTimeout(20.seconds) {
    events.first { it.kind is T }.kind as T
}

fun isEnd(event: TertuliaEvent) =
    event.kind is TertuliaEventKind.TurnFinished ||
        event.kind is TertuliaEventKind.TurnInterrupted ||
        event.kind is TertuliaEventKind.TurnFailed

inline fun <reified T> List<TertuliaEvent>.kinds(): List<T> = map { it.kind }.filterIsInstance<T>()
