package dev.tertulia

import kotlin.test.Test
import kotlin.test.assertEquals
import kotlin.test.assertTrue

/** The exit of a JVM whose engines were not closed. */
class ExitTest {
    /** With the engine shut down before the exit, and without. */
    private fun leaves(scene: String, waits: Boolean = false) = listOf("exit", "shut").forEach { end ->
        val child = Child(scene, end)
        if (waits && child.line().also { if (it != "waiting") println(it) } != "waiting") return@forEach
        val (code, ms) = child.leave()
        println("$end with $scene: code $code after $ms ms")
        assertEquals(0, code)
        assertTrue(ms < 8_000, "$ms ms")
    }

    @Test
    fun `with nothing closed`() = leaves("open")

    @Test
    fun `with a callback waiting`() = leaves("callback", waits = true)

    @Test
    fun `with a job running`() = leaves("job", waits = true)

    @Test
    fun `with a reader waiting`() = leaves("reader", waits = true)

    /** Where the library has models, and their files are there. */
    @Test
    fun `with a model loaded`() = leaves("model", waits = true)

    @Test
    fun `in mid-speech with a collector`() = leaves("speaking")

    @Test
    fun `with engines that nothing refers to`() = leaves("unreachable")
}
