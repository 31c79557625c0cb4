/** Backends of the host's in the form that the library calls. */
package dev.tertulia

import dev.tertulia.generated.CancelHandler
import dev.tertulia.generated.ChatSink
import dev.tertulia.generated.RecognitionSink
import dev.tertulia.generated.SpeechSink
import kotlinx.coroutines.CancellationException
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.CoroutineStart
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.SupervisorJob
import kotlinx.coroutines.launch
import dev.tertulia.generated.ChatModel as RawChatModel
import dev.tertulia.generated.HostBackends as RawBackends
import dev.tertulia.generated.Recognizer as RawRecognizer
import dev.tertulia.generated.SpokenWord as RawWord
import dev.tertulia.generated.Synthesizer as RawSynthesizer
import dev.tertulia.generated.Vad as RawVad
import dev.tertulia.generated.VadModel as RawVadModel

/** The coroutines of one engine's backends: on threads beside those of the app, so that hung ones take none of them. */
internal class BackendScope : CoroutineScope {
    override val coroutineContext = SupervisorJob() + Dispatchers.IO.limitedParallelism(64)
}

/** How a request ends. */
private class Sink(
    val setCancelHandler: (CancelHandler?) -> Unit,
    val done: () -> Unit,
    val fail: (UShort, String) -> Unit,
    val free: () -> Unit,
)

/** Begins to answer a request. */
private fun CoroutineScope.answer(sink: Sink, work: suspend () -> Unit) {
    val task = launch(start = CoroutineStart.LAZY) {
        try {
            work()
            sink.done()
        } catch (error: Throwable) {
            // The library refuses an end after the end, such as after a cancelled request.
            runCatching { lowered(error).let { sink.fail(it.number, it.detail) } }
            if (error is CancellationException) throw error
        }
    }
    sink.setCancelHandler(
        object : CancelHandler {
            override fun cancelled() = task.cancel()
        },
    )
    task.invokeOnCompletion { sink.free() }
    // Not before: JNA cannot detach a thread on which the library let go of a handler that came after the end.
    task.start()
}

internal fun HostBackends.lowered(scope: CoroutineScope) =
    RawBackends(
        vad?.let(::VadAdapter),
        recognizer?.let { RecognizerAdapter(it, scope) },
        chat?.let { ChatAdapter(it, scope) },
        synthesizer?.let { SynthesizerAdapter(it, scope) },
    )

private class RecognizerAdapter(private val host: Recognizer, private val scope: CoroutineScope) : RawRecognizer {
    override fun info() = callback { host.info }

    override fun recognize(request: RecognitionRequest, sink: RecognitionSink) = callback {
        scope.answer(Sink(sink::setCancelHandler, sink::done, sink::fail, sink::close)) {
            host.recognize(request).collect { step ->
                when (step) {
                    is RecognitionStep.Partial ->
                        edge { sink.pushPartial(step.text, step.text.utf8Index(step.stableLength)) }
                    is RecognitionStep.Final -> edge { sink.pushFinal(step.transcript) }
                }
            }
        }
    }
}

private class ChatAdapter(private val host: ChatModel, private val scope: CoroutineScope) : RawChatModel {
    override fun info() = callback { host.info }

    override fun reply(request: ChatRequest, sink: ChatSink) = callback {
        scope.answer(Sink(sink::setCancelHandler, sink::done, sink::fail, sink::close)) {
            host.reply(request).collect { edge { sink.pushText(it) } }
        }
    }
}

private class SynthesizerAdapter(private val host: Synthesizer, private val scope: CoroutineScope) : RawSynthesizer {
    override fun info() = callback { host.info }

    override fun synthesize(request: SynthesisRequest, sink: SpeechSink) = callback {
        scope.answer(Sink(sink::setCancelHandler, sink::done, sink::fail, sink::close)) {
            host.synthesize(request).collect { chunk ->
                val words = chunk.words.map { it.lowered(request.text) }
                edge {
                    sink.pushAudio(chunk.samples.direct(), chunk.rate.toUInt(), chunk.textSpan.spanIn(request.text), words)
                }
            }
        }
    }
}

private fun SpokenWord.lowered(text: String) =
    RawWord(textSpan.spanIn(text), language, samples.first.toULong(), (samples.last + 1).toULong())

private class VadAdapter(private val host: VadModel) : RawVadModel {
    override fun info() = callback { host.info }

    override fun open(): RawVad = callback { Detector(host.open()) }

    private class Detector(private val host: Vad) : RawVad {
        override fun process(frame: ByteArray) = callback { host.process(floatSamples(frame)) }

        override fun reset() = callback { host.reset() }
    }
}
