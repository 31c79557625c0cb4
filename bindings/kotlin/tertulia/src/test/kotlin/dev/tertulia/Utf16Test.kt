package dev.tertulia

import dev.tertulia.generated.TextSpan
import kotlin.test.Test
import kotlin.test.assertEquals

/** Places in texts against the JVM's own UTF-8. */
class Utf16Test {
    @Test
    fun `every character's place, both ways`() {
        for (text in listOf("", "abc", "¿Qué tal? 😀!", "👩‍🚀é漢字e\u0301")) {
            var index = 0
            while (index <= text.length) {
                val bytes = text.substring(0, index).encodeToByteArray().size.toULong()
                assertEquals(bytes, text.utf8Index(index), "$text at $index")
                assertEquals(index, text.utf16Index(bytes), "$text at $bytes")
                index += if (index < text.length) Character.charCount(text.codePointAt(index)) else 1
            }
        }
    }

    @Test
    fun `places in the middle of a pair and beyond the end`() {
        assertEquals(1uL, "a😀b".utf8Index(2))
        assertEquals(6uL, "a😀b".utf8Index(99))
        assertEquals(4, "a😀b".utf16Index(99u))
        assertEquals(1..2, TextSpan(1u, 5u).rangeIn("a😀b"))
        assertEquals(TextSpan(1u, 5u), (1..2).spanIn("a😀b"))
        assertEquals(IntRange.EMPTY, TextSpan(0u, 0u).rangeIn("a"))
    }
}
