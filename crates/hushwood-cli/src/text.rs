//! Bytes and moments as people and other programs read them.

use std::time::{SystemTime, UNIX_EPOCH};

use base64ct::{Base64, Encoding};
use hushwood::policy::Timestamp;

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Reads hexadecimal; `None` if it is none.
pub(crate) fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text
        .chars()
        .map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect::<Option<_>>()?;
    let pairs = digits.chunks_exact(2);
    if !pairs.remainder().is_empty() {
        return None;
    }
    Some(pairs.map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit)).collect())
}

/// Base64 with padding.
pub(crate) fn base64(bytes: &[u8]) -> String {
    Base64::encode_string(bytes)
}

/// Text from outside, safe to show on a terminal and in one line: what could move the cursor, colour
/// the screen, turn the direction of writing or fake a line break is shown as its code.
pub(crate) fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\t' => shown.push(character),
            _ if character.is_control() || is_invisible(character) => {
                shown.push_str(&format!("<{:04X}>", u32::from(character)));
            }
            _ => shown.push(character),
        }
    }
    shown
}

/// [`printable`] for text of several lines.
pub(crate) fn printable_lines(text: &str) -> String {
    text.split('\n').map(printable).collect::<Vec<_>>().join("\n")
}

/// JSON that is safe to show on a terminal as well: what [`printable`] shows as a code is written as an
/// escape, which means the same.
pub(crate) fn json(value: &serde_json::Value) -> String {
    let mut shown = String::new();
    for character in value.to_string().chars() {
        if character.is_control() || is_invisible(character) {
            let mut units = [0; 2];
            for unit in character.encode_utf16(&mut units) {
                shown.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            shown.push(character);
        }
    }
    shown
}

/// Characters of no width, and those that change the direction of what follows. Not the two joiners
/// that some scripts and emoji need.
fn is_invisible(character: char) -> bool {
    matches!(character,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// What else can't be seen in a name: joiners, fillers, variation selectors, and other spaces than the one.
fn is_unseen_in_names(character: char) -> bool {
    (character.is_whitespace() && character != ' ')
        || matches!(character,
            '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}' | '\u{200c}'
            | '\u{200d}' | '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{ffa0}'
            | '\u{1d173}'..='\u{1d17a}' | '\u{e0100}'..='\u{e01ef}')
}

/// An identity or another name from outside: text in one line, or hexadecimal. Stricter than
/// [`printable`], so that no two names look the same for what can't be seen in them, and that none looks
/// like a name with a message behind it (`desk: hello`) or like an [event](EVENT).
pub(crate) fn name(bytes: &[u8]) -> String {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) if !text.is_empty() => text,
        _ => return format!("0x{}", hex(bytes)),
    };
    let mut shown = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let next = characters.peek().copied();
        let coded = match character {
            ' ' => shown.is_empty() || matches!(next, None | Some(' ')),
            ':' => matches!(next, None | Some(' ')),
            '*' => shown.is_empty() && next == Some(' '),
            _ => character.is_control() || is_invisible(character) || is_unseen_in_names(character),
        };
        if coded {
            shown.push_str(&format!("<{:04X}>", u32::from(character)));
        } else {
            shown.push(character);
        }
    }
    shown
}

/// What a line about a group begins with where words of its members stand beside it.
pub(crate) const EVENT: &str = "* ";

/// A word of a command that somebody may copy into a shell, where it must mean itself and nothing else.
pub(crate) fn shell_word(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | ',' | '/' | '+' | '@' | '%');
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// An identity as a word of a command: as text if it can be typed as it is shown, else in hexadecimal.
pub(crate) fn identity_word(identity: &[u8]) -> String {
    let shown = name(identity);
    if shown.as_bytes() == identity && !shown.starts_with("0x") && !shown.starts_with('-') {
        return shell_word(&shown);
    }
    format!("0x{}", hex(identity))
}

/// A number of bytes, readable.
pub(crate) fn size(bytes: usize) -> String {
    match bytes {
        1 => "1 byte".to_owned(),
        0..10_000 => format!("{bytes} bytes"),
        10_000..1_048_576 => format!("{} KiB", bytes >> 10),
        _ => format!("{}.{} MiB", bytes >> 20, ((bytes & 0xf_ffff) * 10) >> 20),
    }
}

/// `one message`, `2 messages`.
pub(crate) fn count(number: usize, one: &str, many: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {many}") }
}

/// Names in a sentence; many are counted.
pub(crate) fn list(names: &[String]) -> String {
    match names {
        names if names.len() <= 6 => names.join(", "),
        names => count(names.len(), "member", "members"),
    }
}

/// The current time.
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(since.as_secs())
}

/// A moment as `2026-11-22T23:13:05Z`.
pub(crate) fn moment(Timestamp(seconds): Timestamp) -> String {
    const DAY: u64 = 24 * 60 * 60;
    // 9999-12-31T23:59:59Z: beyond it, a number says as much.
    if seconds > 253_402_300_799 {
        return format!("second {seconds}");
    }
    let (year, month, day) = civil(seconds / DAY);
    let (hour, minute, second) = (seconds % DAY / 3600, seconds % 3600 / 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// The Gregorian date of a day since 1970-01-01. Counted in years that begin on 1 March, of which
/// 400 have 146,097 days.
fn civil(day: u64) -> (u64, u64, u64) {
    let shifted = day + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day_of_month)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_is_read_as_it_is_written() {
        assert_eq!(hex(&[0, 0x1f, 0xff]), "001fff");
        assert_eq!(from_hex("001fFF"), Some(vec![0, 0x1f, 0xff]));
        assert_eq!(from_hex(""), Some(vec![]));
        assert_eq!((from_hex("0"), from_hex("0g"), from_hex("é0")), (None, None, None));
    }

    #[test]
    fn text_from_outside_can_not_move_the_cursor() {
        assert_eq!(printable("a\u{1b}[2Jb\r\nc\u{202e}d"), "a<001B>[2Jb<000D><000A>c<202E>d");
        assert_eq!(printable("grüße\t😀"), "grüße\t😀");
        assert_eq!(name(b"desk"), "desk");
        assert_eq!(name(&[0xff, 1]), "0xff01");
    }

    #[test]
    fn names_that_would_look_like_others_are_told_apart() {
        for (raw, shown) in [
            ("green tea", "green tea"),
            ("xmpp:desk@home", "xmpp:desk@home"),
            ("desk ", "desk<0020>"),
            (" desk", "<0020>desk"),
            ("green  tea", "green<0020> tea"),
            ("green\u{a0}tea", "green<00A0>tea"),
            ("de\u{200d}sk\u{fe0f}", "de<200D>sk<FE0F>"),
            ("desk: hello", "desk<003A> hello"),
            ("desk:", "desk<003A>"),
            ("* tea", "<002A> tea"),
            ("a\u{1b}[2J\t", "a<001B>[2J<0009>"),
        ] {
            assert_eq!(name(raw.as_bytes()), shown, "{raw:?}");
        }
    }

    #[test]
    fn what_is_copied_into_a_shell_does_nothing_of_its_own() {
        assert_eq!(shell_word("tea-0.commit"), "tea-0.commit");
        assert_eq!(shell_word("grün"), "grün");
        assert_eq!(shell_word("green tea"), "'green tea'");
        assert_eq!(shell_word("$(rm -rf x)"), "'$(rm -rf x)'");
        assert_eq!(shell_word("a'; rm x"), r"'a'\''; rm x'");
        assert_eq!(shell_word(""), "''");
        assert_eq!(identity_word(b"phone"), "phone");
        assert_eq!(identity_word("a\u{200b}b".as_bytes()), "0x61e2808b62");
        assert_eq!(identity_word(b"0xff"), "0x30786666");
        assert_eq!(identity_word(b"-n"), "0x2d6e");
    }

    #[test]
    fn json_can_be_shown_on_a_terminal_and_means_the_same() {
        let value = serde_json::json!({ "a\u{9b}2J": "\u{7f}\u{202e}\u{e0001}\u{1b}grüße" });
        let shown = json(&value);
        assert_eq!(shown, r#"{"a\u009b2J":"\u007f\u202e\udb40\udc01\u001bgrüße"}"#);
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), value);
    }

    #[test]
    fn moments_are_those_of_the_calendar() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_800, "2000-03-01T00:00:00Z"),
            (1_795_389_185, "2026-11-22T23:13:05Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (253_402_300_799, "9999-12-31T23:59:59Z"),
            (u64::MAX, "second 18446744073709551615"),
        ] {
            assert_eq!(moment(Timestamp(seconds)), text);
        }
    }
}
