import XCTest

@testable import Tertulia

/// Spans in UTF-16 from bytes of UTF-8, and back.
final class TextRangeTests: XCTestCase {
    func testEveryCharacterOfATextWithEmojiAndAccents() {
        let text = "¿Qué tal, 👩‍👩‍👧 Zoë? — e\u{301} 𝄞 ñ"
        var byte: UInt64 = 0
        for scalar in text.unicodeScalars {
            let next = byte + UInt64(String(scalar).utf8.count)
            let range = text.utf16Range(bytes: byte, next)
            XCTAssertEqual(text[utf16: range].map(String.init)?.unicodeScalars.elementsEqual([scalar]), true, "\(scalar)")
            let span = text.byteSpan(range)
            XCTAssertEqual([span?.start, span?.end], [byte, next])
            byte = next
        }
        XCTAssertEqual(text.utf16Range(bytes: 0, byte), NSRange(text.startIndex..., in: text))
    }

    func testBytesInsideACharacterAndBeyondTheEnd() {
        XCTAssertEqual("é🙂".utf16Range(bytes: 1, 4), NSRange(location: 0, length: 1))
        XCTAssertEqual("é🙂".utf16Range(bytes: 2, 99), NSRange(location: 1, length: 2))
        XCTAssertEqual("é".utf16Range(bytes: .max, 0), NSRange(location: 1, length: 0))
        XCTAssertNil("🙂".byteSpan(NSRange(location: 1, length: 1)), "half of a pair")
        XCTAssertNil("a".byteSpan(NSRange(location: 0, length: 2)))
    }
}
