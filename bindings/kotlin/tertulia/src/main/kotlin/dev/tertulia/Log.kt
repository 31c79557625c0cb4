package dev.tertulia

import dev.tertulia.generated.LogSink

/**
 * Has every line of the log handed to [take], in the place of the one before; null for no more lines. The level of the
 * first call in a process is the highest. [take] is called on any thread and must call nothing of this library.
 */
fun setLog(levelMax: LogLevel = LogLevel.INFORMATION, take: ((LogLevel, target: String, line: String) -> Unit)?) =
    edge { dev.tertulia.generated.setLog(take?.let(::Lines), levelMax) }

private class Lines(private val take: (LogLevel, String, String) -> Unit) : LogSink {
    override fun log(level: LogLevel, target: String, line: String) = callback { take(level, target, line) }
}
