/** Places in texts: bytes of UTF-8 in the engine, UTF-16 units in Kotlin. */
package dev.tertulia

import dev.tertulia.generated.TextSpan

/** The index of the character that starts at a byte of the text's UTF-8 form; the length for one beyond it. */
internal fun CharSequence.utf16Index(byte: ULong): Int {
    var bytes = 0uL
    var index = 0
    while (index < length && bytes < byte) {
        bytes += utf8Length(index)
        index += unitsAt(index)
    }
    return index
}

/** The byte of the text's UTF-8 form at which the character of an index starts. */
internal fun CharSequence.utf8Index(index: Int): ULong {
    var bytes = 0uL
    var at = 0
    while (at < length && at + unitsAt(at) <= index) {
        bytes += utf8Length(at)
        at += unitsAt(at)
    }
    return bytes
}

private fun CharSequence.unitsAt(index: Int): Int =
    if (this[index].isHighSurrogate() && index + 1 < length && this[index + 1].isLowSurrogate()) 2 else 1

private fun CharSequence.utf8Length(index: Int): ULong =
    when {
        unitsAt(index) == 2 -> 4u
        this[index].code < 0x80 -> 1u
        this[index].code < 0x800 -> 2u
        else -> 3u
    }

/** A span as a range of the text's UTF-16 units. */
internal fun TextSpan.rangeIn(text: CharSequence): IntRange = text.utf16Index(start) until text.utf16Index(end)

/** A range of the text's UTF-16 units as a span of the engine's. */
internal fun IntRange.spanIn(text: CharSequence) = TextSpan(text.utf8Index(first), text.utf8Index(last + 1))

/** The replies under way of one session, on which the spans of its events stand. */
internal class ReplyTexts {
    private val texts = HashMap<ULong, StringBuilder>()

    @Synchronized
    fun append(turn: ULong?, text: String) {
        if (turn != null) texts.getOrPut(turn, ::StringBuilder).append(text)
    }

    @Synchronized
    fun set(turn: ULong?, text: String) {
        if (turn != null) texts[turn] = StringBuilder(text)
    }

    @Synchronized
    fun remove(turn: ULong?) {
        texts.remove(turn)
    }

    /** The range of a span in the reply of a turn. */
    @Synchronized
    fun range(turn: ULong?, span: TextSpan): IntRange = span.rangeIn(texts[turn] ?: "")
}
