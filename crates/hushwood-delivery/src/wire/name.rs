//! When two spellings are one name (after RFC 8265).

use unicode_normalization::UnicodeNormalization;

/// A name without the differences that nobody sees or means: of width, of composition, of case. Two spellings with the same result
/// are the name of one account, for the service and for all clients.
///
/// ```
/// use hushwood_delivery::wire::fold_name;
///
/// assert_eq!(fold_name("STRASSE"), fold_name("straße"));
/// assert_ne!(fold_name("ben"), fold_name("bena"));
/// ```
#[must_use]
pub fn fold_name(name: &str) -> String {
    if name.is_ascii() {
        return name.to_ascii_lowercase();
    }
    let folded = caseless::default_case_fold_str(&name.nfkc().collect::<String>());
    folded.nfkc().collect()
}
