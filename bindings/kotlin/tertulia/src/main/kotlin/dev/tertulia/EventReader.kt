package dev.tertulia

import dev.tertulia.generated.EventWaker
import kotlinx.coroutines.channels.Channel
import kotlinx.coroutines.currentCoroutineContext
import kotlinx.coroutines.ensureActive
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.flow
import kotlin.time.Duration

/** The reader of one queue of events: by waiting calls, or as a flow without a thread of its own. */
internal class EventReader(
    private val next: (timeoutMs: ULong) -> dev.tertulia.generated.TertuliaEvent?,
    private val setWaker: (EventWaker?) -> Unit,
    private val texts: ReplyTexts,
) {
    fun next(timeout: Duration): TertuliaEvent? =
        edge { next(timeout.inWholeMilliseconds.coerceIn(0, Int.MAX_VALUE.toLong()).toULong()) }
            ?.let { lifted(it, texts) }

    /** Takes an event only when the collector is ready for it, so that none is lost when the collector stops. */
    fun flow(): Flow<TertuliaEvent> = flow {
        val wakes = Channel<Unit>(Channel.CONFLATED)
        edge { setWaker(Waker(wakes)) }
        try {
            while (true) {
                currentCoroutineContext().ensureActive()
                val event = next(Duration.ZERO)
                if (event == null) {
                    wakes.receive()
                    continue
                }
                emit(event)
                if (event.kind is TertuliaEventKind.SessionClosed) break
            }
        } finally {
            runCatching { setWaker(null) }
        }
    }

    /** It holds nothing but the channel, so that the library keeps neither session nor engine alive. */
    private class Waker(private val wakes: Channel<Unit>) : EventWaker {
        override fun wake() {
            wakes.trySend(Unit)
        }
    }
}
