//! Names of accounts: what a name may be, and which names are the same (after RFC 8264, RFC 8265, UTS #39).
//!
//! A name is how somebody is found, so two people must not have names that are mistaken for each other: not by case, not
//! by the many ways in which Unicode writes a letter, not by letters of another script, and not by characters that can't be
//! seen or that turn the direction of writing.

use unicode_normalization::char::is_combining_mark;
use unicode_security::confusable_detection::skeleton;
use unicode_security::{GeneralSecurityProfile, MixedScript};

use crate::wire::{Refusal, fold_name};

/// A name that somebody may have.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Name {
    /// The name itself. Another spelling of it, such as one in capitals, is the same name.
    pub(super) name: String,
    /// What it looks like: names that look the same have the same.
    pub(super) look: String,
}

/// Takes a name from the wire, which is at most so many bytes long.
///
/// # Errors
/// [`Refusal::Malformed`] with the rule that it breaks.
pub(super) fn name(bytes: &[u8], max: usize) -> Result<Name, Refusal> {
    let refused = |why: &str| Refusal::Malformed(format!("an account's name {why}"));
    let text = std::str::from_utf8(bytes).map_err(|_| refused("is UTF-8"))?;
    // Longer than all that is done with it before it is measured again.
    if text.is_empty() || text.len() > max {
        return Err(refused("is short, and not empty"));
    }
    let name = fold_name(text);
    if name.len() > max {
        return Err(refused("is short"));
    }
    if !name.chars().all(is_allowed) {
        return Err(refused("has only letters, digits, and . - _"));
    }
    let begins = name.chars().next().is_some_and(|first| !is_mark(first) && !is_combining_mark(first));
    let ends = name.chars().next_back().is_some_and(|last| !is_mark(last));
    if !begins || !ends {
        return Err(refused("begins with a letter or digit, and ends with one"));
    }
    if !name.as_str().is_single_script() {
        return Err(refused("has letters of one script alone"));
    }
    let look = fold_name(&skeleton(&name).collect::<String>());
    Ok(Name { name, look })
}

/// Letters with their marks and digits, of those that are in use (UTS #39 §3.1); and three marks to part them.
fn is_allowed(char: char) -> bool {
    is_mark(char) || (char.identifier_allowed() && (char.is_alphanumeric() || is_combining_mark(char)))
}

fn is_mark(char: char) -> bool {
    matches!(char, '.' | '-' | '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(text: &str) -> Name {
        name(text.as_bytes(), 64).unwrap_or_else(|refusal| panic!("{text}: {refusal}"))
    }

    #[test]
    fn names_in_many_scripts_are_taken() {
        for text in [
            "alice",
            "bob.smith",
            "d-2_x",
            "4711",
            "josé",
            "müller",
            "иван",
            "ελένη",
            "דוד",
            "مريم",
            "अमित",
            "さくら",
            "田中さん",
            "김철수",
            "สมชาย",
        ] {
            assert!(!taken(text).look.is_empty());
        }
    }

    #[test]
    fn spellings_of_one_name_are_one_name() {
        for (one, other) in [
            ("Alice", "alice"),
            ("ALICE", "alice"),
            ("ａｌｉｃｅ", "alice"),
            ("jose\u{301}", "josé"),
            ("STRASSE", "straße"),
            ("𝒜lice", "alice"),
            ("ΣΑΣ", "σας"),
        ] {
            assert_eq!(taken(one).name, taken(other).name, "{one}");
        }
    }

    #[test]
    fn names_that_are_mistaken_for_each_other_look_the_same() {
        // The second of the first pair is Cyrillic throughout.
        for (one, other) in [("apple", "аррӏе"), ("paul1", "paull"), ("b0b", "bob"), ("modem", "modern")]
        {
            let (one, other) = (taken(one), taken(other));
            assert_ne!(one.name, other.name);
            assert_eq!(one.look, other.look, "{other:?}");
        }
        assert_ne!(taken("alice").look, taken("bob").look);
    }

    #[test]
    fn what_is_no_name_is_refused_with_the_rule() {
        for (text, rule) in [
            ("", "empty"),
            (" ", "letters, digits"),
            ("al ice", "letters, digits"),
            ("alice\u{202e}", "letters, digits"),
            ("ali\u{200b}ce", "letters, digits"),
            ("ali\u{ad}ce", "letters, digits"),
            ("alice\u{fe0f}", "letters, digits"),
            ("alice\n", "letters, digits"),
            ("alice@example", "letters, digits"),
            ("🐙", "letters, digits"),
            (".alice", "begins"),
            ("alice.", "begins"),
            ("\u{301}alice", "begins"),
            ("pаypal", "one script"),
            ("αlice", "one script"),
            (&"a".repeat(65), "short"),
            // Three bytes become eighteen letters.
            (&"\u{fdfa}".repeat(20), ""),
        ] {
            let refusal = name(text.as_bytes(), 64).unwrap_err();
            assert!(refusal.to_string().contains(rule), "{text:?}: {refusal}");
        }
        assert!(name(&[0xff], 64).is_err());
    }
}
