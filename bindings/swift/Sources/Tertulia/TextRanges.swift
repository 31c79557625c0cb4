import Foundation
internal import TertuliaGenerated

/// Spans of a text in Swift's units, from those of the library: bytes of UTF-8.
extension String {
    /// The bytes as a range in UTF-16, which `NSAttributedString` and `Range(_:in:)` take. A byte inside a character, or beyond the end, is moved
    /// back to where one starts.
    func utf16Range(bytes start: UInt64, _ end: UInt64) -> NSRange {
        let location = utf16Offset(byte: start)
        return NSRange(location: location, length: max(utf16Offset(byte: end) - location, 0))
    }

    func utf16Offset(byte: UInt64) -> Int {
        let byte = Int(min(byte, UInt64(utf8.count)))
        var index = utf8.index(startIndex, offsetBy: byte)
        while index != startIndex, index.samePosition(in: unicodeScalars) == nil { index = utf8.index(before: index) }
        return utf16.distance(from: startIndex, to: index)
    }

    /// The range in UTF-16 as bytes; nil where it is none of this text, or cuts a character of two units.
    func byteSpan(_ range: NSRange) -> TextSpan? {
        guard let range = self.range(utf16: range) else { return nil }
        let start = utf8.distance(from: startIndex, to: range.lowerBound)
        return TextSpan(start: UInt64(start), end: UInt64(start + utf8.distance(from: range.lowerBound, to: range.upperBound)))
    }

    /// A range in UTF-16 as Swift's own; nil where it is none of this text, or cuts a character of two units. `Range(_:in:)` gives nil inside a
    /// grapheme as well.
    public func range(utf16 range: NSRange) -> Range<String.Index>? {
        guard range.location >= 0, range.length >= 0,
            let start = utf16.index(startIndex, offsetBy: range.location, limitedBy: endIndex),
            let end = utf16.index(start, offsetBy: range.length, limitedBy: endIndex),
            start.samePosition(in: unicodeScalars) != nil, end.samePosition(in: unicodeScalars) != nil
        else { return nil }
        return start..<end
    }

    /// The part in this range of UTF-16; nil where it is none of this text.
    public subscript(utf16 range: NSRange) -> Substring? { self.range(utf16: range).map { self[$0] } }
}
