/** Places in texts: bytes of UTF-8 in the engine, UTF-16 units in Kotlin. */
package dev.tertulia

import dev.tertulia.generated.TextSpan

/** The index of the character that starts at a byte of the text's UTF-8 form; the length for one beyond it. */
internal fun CharSequence.utf16Index(byte: ULong): Int = Places(this).indexOf(byte)

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

/** A text, and the place that was converted last: spans come in order, so that each starts near it. */
private class Places<T : CharSequence>(val text: T) {
    private var byte = 0uL
    private var index = 0

    fun indexOf(target: ULong): Int {
        if (target < byte) {
            byte = 0u
            index = 0
        }
        while (index < text.length && byte < target) {
            byte += text.utf8Length(index)
            index += text.unitsAt(index)
        }
        return index
    }
}

/** The replies under way of one session, on which the spans of its events stand. */
internal class ReplyTexts {
    private val replies = HashMap<ULong, Places<StringBuilder>>()

    @Synchronized
    fun append(turn: ULong?, text: String) {
        if (turn != null) replies.getOrPut(turn) { Places(StringBuilder()) }.text.append(text)
    }

    @Synchronized
    fun set(turn: ULong?, text: String) {
        if (turn != null) replies[turn] = Places(StringBuilder(text))
    }

    @Synchronized
    fun remove(turn: ULong?) {
        replies.remove(turn)
    }

    /** The range of a span in the reply of a turn. */
    @Synchronized
    fun range(turn: ULong?, span: TextSpan): IntRange =
        replies[turn]?.let { it.indexOf(span.start) until it.indexOf(span.end) } ?: IntRange.EMPTY
}
