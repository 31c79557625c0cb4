package dev.tertulia

import kotlinx.coroutines.runBlocking
import java.lang.management.ManagementFactory
import kotlin.test.Test
import kotlin.test.assertTrue
import kotlin.time.Duration

/** The cost of reading events and of pushing audio. */
class CostTest {
    private val threads = ManagementFactory.getThreadMXBean()

    private inline fun microseconds(times: Int, work: () -> Unit): Double {
        val start = threads.currentThreadCpuTime
        repeat(times) { work() }
        return (threads.currentThreadCpuTime - start) / 1_000.0 / times
    }

    @Test
    fun `of CPU time`() = runBlocking<Unit> {
        TertuliaEngine.open(backends = backends()).use { engine ->
            val session = engine.createSession(ALOUD)
            // Warms the JVM up.
            microseconds(20_000) { session.nextEvent(Duration.ZERO) }
            var events = 0
            var ns = 0L
            repeat(60) { round ->
                session.say("uno dos tres cuatro cinco seis siete ocho nueve diez.")
                // Give the events time to queue up, so that reading is all that is measured.
                Thread.sleep(100)
                val start = threads.currentThreadCpuTime
                var count = 0
                while (session.nextEvent(Duration.ZERO) != null) count++
                // The first rounds warm the reading of events up.
                if (round >= 30) {
                    events += count
                    ns += threads.currentThreadCpuTime - start
                }
            }
            check(events > 200) { "$events events" }
            val event = ns / 1_000.0 / events
            val empty = microseconds(2_000) { session.nextEvent(Duration.ZERO) }
            val block = FloatArray(320) { 0.01f }
            microseconds(2_000) { session.pushAudio(block, RATE) }
            val push = microseconds(2_000) { session.pushAudio(block, RATE) }
            println("next_event: %.1f µs of CPU, without an event %.1f; push_audio of 20 ms: %.1f".format(event, empty, push))
            assertTrue(event < 300, "$event µs")
        }
    }
}
