package dev.tertulia

import java.util.WeakHashMap
import kotlin.time.Duration.Companion.seconds

/** Shuts engines down when the JVM exits, so that no thread of theirs calls into a JVM that is gone. */
internal object Exit {
    private val engines = WeakHashMap<TertuliaEngine, Unit>()

    init {
        Runtime.getRuntime().addShutdownHook(
            Thread { synchronized(engines) { engines.keys.toList() }.forEach { runCatching { it.shutDown(2.seconds) } } },
        )
    }

    fun add(engine: TertuliaEngine) {
        synchronized(engines) { engines[engine] = Unit }
    }
}
