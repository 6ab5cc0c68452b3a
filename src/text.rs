//! Sanitizes untrusted text for display: from the vendor, the API server, and authors of objects.
//!
//! Text can contain invisible characters that reorder, hide or split the text around them. One list of these characters
//! is used for conditions, events, log lines and pages alike.

use std::borrow::Cow;

/// Whether a character must not be displayed: control and format characters, characters that a renderer may ignore
/// (`Default_Ignorable_Code_Point`), line and paragraph separators, the blank Braille pattern, and characters without
/// a standard glyph (noncharacters and private use). Spaces are not included.
#[must_use]
pub fn is_invisible(c: char) -> bool {
    // Fast path: most text is plain ASCII.
    if (' '..='~').contains(&c) {
        return false;
    }
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}'
            | '\u{890}'..='\u{891}' | '\u{8e2}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
            | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{110bd}' | '\u{110cd}'
            | '\u{13430}'..='\u{1343f}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}')
        || is_private(c)
        || is_noncharacter(c)
}

fn is_private(c: char) -> bool {
    matches!(c, '\u{e000}'..='\u{f8ff}' | '\u{f0000}'..='\u{ffffd}' | '\u{100000}'..='\u{10fffd}')
}

fn is_noncharacter(c: char) -> bool {
    matches!(c, '\u{fdd0}'..='\u{fdef}') || u32::from(c) & 0xfffe == 0xfffe
}

/// `text` on one line, without invisible characters. Control characters and line separators become spaces, so that
/// words stay separate; the other invisible characters are removed.
#[must_use]
pub fn visible(text: &str) -> Cow<'_, str> {
    if !text.contains(is_invisible) {
        return Cow::Borrowed(text);
    }
    let shown = |c: char| match c {
        '\u{2028}' | '\u{2029}' => Some(' '),
        c if c.is_control() => Some(' '),
        c if is_invisible(c) => None,
        c => Some(c),
    };
    Cow::Owned(text.chars().filter_map(shown).collect())
}

/// [`visible`], truncated to at most `limit` bytes at a character boundary.
#[must_use]
pub fn one_line(text: &str, limit: usize) -> String {
    let mut line = visible(text).into_owned();
    line.truncate(line.floor_char_boundary(limit));
    line
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_line_is_cut_between_characters() {
        assert_eq!(one_line("a\n房间", 4), "a ");
        assert_eq!(one_line("a\n房间", 5), "a 房");
    }

    #[test]
    fn nothing_that_reorders_hides_or_splits_a_text_is_left() {
        let tricks = [
            '\u{ad}',
            '\u{34f}',
            '\u{61c}',
            '\u{115f}',
            '\u{1160}',
            '\u{17b4}',
            '\u{17b5}',
            '\u{180b}',
            '\u{180e}',
            '\u{180f}',
            '\u{200b}',
            '\u{200f}',
            '\u{202a}',
            '\u{202e}',
            '\u{2060}',
            '\u{2066}',
            '\u{206f}',
            '\u{2800}',
            '\u{3164}',
            '\u{fe00}',
            '\u{fe0f}',
            '\u{feff}',
            '\u{ffa0}',
            '\u{fff0}',
            '\u{fffb}',
            '\u{1bca0}',
            '\u{1bca3}',
            '\u{1d173}',
            '\u{1d17a}',
            '\u{e0000}',
            '\u{e0001}',
            '\u{e0041}',
            '\u{e0100}',
            '\u{e0fff}',
            '\u{e000}',
            '\u{f8ff}',
            '\u{f0000}',
            '\u{10fffd}',
            '\u{fdd0}',
            '\u{fdef}',
            '\u{ffff}',
            '\u{1fffe}',
            '\u{10ffff}',
        ];
        for trick in tricks {
            assert_eq!(visible(&format!("room{trick}-42")), "room-42", "U+{:04X}", u32::from(trick));
        }
        for apart in ['\n', '\r', '\t', '\0', '\u{1b}', '\u{7f}', '\u{85}', '\u{2028}', '\u{2029}'] {
            assert_eq!(visible(&format!("room{apart}42")), "room 42", "U+{:04X}", u32::from(apart));
        }
    }

    #[test]
    fn what_people_write_is_kept() {
        for text in ["plain", "房间 – …", "ناجح", "Ö 가 ไทย नमस्ते", "\u{a0}\u{3000}", "\u{fffd}\u{1f3a4}"]
        {
            assert!(matches!(visible(text), Cow::Borrowed(same) if same == text), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_line_of_any_text_is_short_and_has_nothing_hidden(text in any::<String>(), limit in 0usize..100) {
            let line = one_line(&text, limit);
            prop_assert!(line.len() <= limit && !line.contains(is_invisible));
        }
    }
}
