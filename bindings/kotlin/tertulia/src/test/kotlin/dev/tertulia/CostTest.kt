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
            var empty = 0.0
            var event = 0.0
            var push = 0.0
            val block = FloatArray(320) { 0.01f }
            repeat(6) {
                // The first rounds warm the JVM up.
                session.say("uno dos tres cuatro cinco seis siete ocho nueve diez. ".repeat(30))
                Thread.sleep(1_500)
                var events = 0
                val start = threads.currentThreadCpuTime
                while (session.nextEvent(Duration.ZERO) != null) events++
                event = (threads.currentThreadCpuTime - start) / 1_000.0 / events
                check(events > 200) { "$events events" }
                empty = microseconds(2_000) { session.nextEvent(Duration.ZERO) }
                push = microseconds(2_000) { session.pushAudio(block, RATE) }
                session.discardUtterance()
            }
            println("next_event: %.1f µs of CPU, without an event %.1f; push_audio of 20 ms: %.1f".format(event, empty, push))
            assertTrue(event < 300, "$event µs")
        }
    }
}
