/// Places in texts: bytes of UTF-8 in the engine, UTF-16 units in Dart.
library;

/// A text, and the place in it that was converted last: spans come in order, so that each starts near it.
class Utf16Text {
  Utf16Text([this.text = '']);

  String text;
  int _byte = 0;
  int _index = 0;

  /// The index of the character that starts at a byte; the length for one beyond the text.
  int indexOf(int byte) {
    if (byte < _byte) {
      _byte = 0;
      _index = 0;
    }
    while (_index < text.length && _byte < byte) {
      final unit = text.codeUnitAt(_index);
      final isPair = unit & 0xfc00 == 0xd800 && _index + 1 < text.length;
      _byte += isPair ? 4 : unit < 0x80 ? 1 : unit < 0x800 ? 2 : 3;
      _index += isPair ? 2 : 1;
    }
    return _index;
  }

  /// A span of bytes as one of units.
  List<int> span(List<Object?> bytes) => [for (final byte in bytes) indexOf(byte! as int)];
}
