package dev.tertulia

import kotlin.test.Test
import kotlin.test.assertEquals
import kotlin.test.assertTrue

/** The exit of a JVM whose engines were not closed. */
class ExitTest {
    private fun leaves(scene: String, waits: Boolean = false) {
        val child = Child(scene)
        if (waits) assertEquals("waiting", child.line())
        val (code, ms) = child.leave()
        println("exit with $scene: code $code after $ms ms")
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
    fun `in mid-speech with a collector`() = leaves("speaking")

    @Test
    fun `with engines that nothing refers to`() = leaves("unreachable")
}
