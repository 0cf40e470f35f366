//! Numbers that two people compare, as digits and as words.

use std::fmt;

use hushwood::credential::{Claim, Credential};
use hushwood::error::Error as ProtocolError;
use hushwood_codec::Writer;
use hushwood_crypto::{CipherSuite, CipherSuiteId, CryptoProvider, Digest, SignaturePublicKey};

use crate::error::Error;

/// A hash to be compared by people: read aloud or held side by side, equal numbers mean that nobody sits in between.
///
/// One [of a member](Self::of_member) stands for who somebody is and the key they sign with: each tells theirs, and the other looks
/// whether it is the one that they see. One [of an epoch](Self::of_epoch) stands for the state that all members of a room share.
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct SafetyNumber(Digest);

impl SafetyNumber {
    /// The number of a credential and the key that signs for it. `suite` is any suite whose hash is SHA-512: the number is the
    /// same whatever the suite of a group.
    ///
    /// # Errors
    /// [`Error::Protocol`] if the credential is longer than a vector can be.
    pub fn of_member(
        suite: &dyn CipherSuite,
        credential: &Credential,
        key: &SignaturePublicKey,
    ) -> Result<Self, Error> {
        let mut writer = Writer::new();
        writer.opaque(b"hushwood safety number 1").value(credential).value(key);
        let input = writer.finish().map_err(ProtocolError::from)?;
        Ok(Self(suite.hash().hash(&[&input])))
    }

    /// The number of an epoch, from its epoch authenticator (RFC 9420 §8.7); `suite` as above.
    ///
    /// # Errors
    /// [`Error::Protocol`] if it is longer than a vector can be.
    pub fn of_epoch(suite: &dyn CipherSuite, authenticator: &[u8]) -> Result<Self, Error> {
        let mut writer = Writer::new();
        writer.opaque(b"hushwood epoch number 1").opaque(authenticator);
        let input = writer.finish().map_err(ProtocolError::from)?;
        Ok(Self(suite.hash().hash(&[&input])))
    }

    pub(crate) fn of_claim(crypto: &CryptoProvider, claim: &Claim) -> Result<Self, Error> {
        Self::of_member(sha512(crypto)?, &claim.credential, &claim.signature_key)
    }

    /// Twelve groups of five digits: 199 bits.
    #[must_use]
    pub fn digits(&self) -> String {
        let groups = self.0.as_bytes().chunks_exact(5).take(12).map(|chunk| {
            let value = chunk.iter().fold(0_u64, |value, byte| value << 8 | u64::from(*byte));
            format!("{:05}", value % 100_000)
        });
        groups.collect::<Vec<_>>().join(" ")
    }

    /// Sixteen words: 128 bits.
    #[must_use]
    pub fn words(&self) -> String {
        let words = self.0.as_bytes().iter().take(16).filter_map(|byte| WORDS.get(usize::from(*byte)));
        words.copied().collect::<Vec<_>>().join(" ")
    }

    /// Whether a text could be a number: sixty digits or sixteen words.
    #[must_use]
    pub fn is_one(text: &str) -> bool {
        let groups = text.split(|c: char| !c.is_alphanumeric()).filter(|group| !group.is_empty());
        let groups: Vec<_> = groups.map(str::to_lowercase).collect();
        let digits = groups.concat();
        (digits.len() == 60 && digits.bytes().all(|digit| digit.is_ascii_digit()))
            || (groups.len() == 16 && groups.iter().all(|group| WORDS.contains(&group.as_str())))
    }

    /// True if `text` is this number, as digits or as words, with whatever between the groups.
    #[must_use]
    pub fn is(&self, text: &str) -> bool {
        let plain =
            |text: &str| text.chars().filter(|c| c.is_alphanumeric()).collect::<String>().to_lowercase();
        let text = plain(text);
        text == plain(&self.digits()) || text == plain(&self.words())
    }
}

/// A suite whose hash is SHA-512.
pub(crate) fn sha512(crypto: &CryptoProvider) -> Result<&'static dyn CipherSuite, Error> {
    let those = [
        CipherSuiteId::MLS_256_DHKEMP521_AES256GCM_SHA512_P521,
        CipherSuiteId::MLS_256_DHKEMX448_AES256GCM_SHA512_ED448,
        CipherSuiteId::MLS_256_DHKEMX448_CHACHA20POLY1305_SHA512_ED448,
    ];
    let [first, ..] = those;
    those.into_iter().find_map(|id| crypto.suite(id)).ok_or(Error::NoSuite(first))
}

impl fmt::Display for SafetyNumber {
    /// Its digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.digits())
    }
}

impl fmt::Debug for SafetyNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SafetyNumber({self})")
    }
}

/// A word for each byte. No two begin with the same three letters or differ in one letter only.
#[rustfmt::skip]
const WORDS: [&str; 256] = [
    "acorn", "adobe", "agate", "album", "alder", "anchor", "apple", "apron", "aspen", "atlas",
    "attic", "awning", "axis", "azure", "badge", "bamboo", "banjo", "barrel", "basil", "beacon",
    "bench", "berry", "bishop", "blanket", "blossom", "bonnet", "bottle", "brick", "broom",
    "bubble", "bucket", "butter", "cabin", "cactus", "camel", "candle", "carpet", "castle", "cedar",
    "cello", "chalk", "cherry", "chimney", "cinema", "clover", "cobalt", "cocoa", "copper",
    "cotton", "crown", "curtain", "cypress", "daisy", "dancer", "debate", "delta", "desert",
    "diamond", "dolphin", "donkey", "dragon", "drum", "dune", "dwarf", "eagle", "earth", "ebony",
    "echo", "eclipse", "edible", "eleven", "ember", "emerald", "engine", "envoy", "epoch", "escape",
    "evening", "fabric", "falcon", "family", "feather", "fennel", "fiddle", "figure", "filter",
    "flute", "fossil", "fresco", "frost", "galaxy", "garden", "gazelle", "ginger", "glacier",
    "goblet", "gondola", "gospel", "granite", "guitar", "gully", "hammer", "harbor", "hazel",
    "heron", "hickory", "hollow", "honey", "horizon", "hotel", "hybrid", "igloo", "impact",
    "indigo", "insect", "island", "ivory", "jaguar", "jasmine", "jewel", "jigsaw", "journal",
    "jungle", "kayak", "kettle", "kidney", "kitchen", "kiwi", "knight", "koala", "lagoon",
    "lantern", "lemon", "lens", "lilac", "linen", "lizard", "lobster", "lotus", "lunar", "lyric",
    "magnet", "maple", "marble", "meadow", "mercury", "mirror", "mosaic", "motor", "muffin",
    "mural", "museum", "napkin", "nectar", "needle", "nickel", "nomad", "nougat", "nutmeg", "nylon",
    "oak", "oasis", "ocean", "octave", "olive", "omelet", "onion", "orange", "orchid", "osprey",
    "otter", "oxygen", "oyster", "palace", "panda", "parrot", "pebble", "pelican", "pepper",
    "piano", "pigeon", "pillow", "planet", "polar", "prairie", "prism", "pumpkin", "puzzle",
    "python", "quail", "queen", "quiver", "rabbit", "raisin", "raven", "reef", "ribbon", "river",
    "robin", "rocket", "ruby", "rumor", "rustic", "saffron", "seagull", "shelter", "silver",
    "sketch", "slipper", "smoke", "snow", "sofa", "spider", "square", "stone", "sugar", "swan",
    "teapot", "temple", "thimble", "tiger", "toast", "tomato", "topaz", "trumpet", "tulip",
    "tundra", "turtle", "tuxedo", "twelve", "uniform", "utopia", "vacuum", "valley", "vanilla",
    "velvet", "violet", "vista", "volcano", "voyage", "vulture", "waffle", "walnut", "water",
    "wheat", "whisper", "window", "wombat", "wooden", "yacht", "yarn", "yogurt", "zebra", "zenith",
    "zigzag", "zodiac",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn number(byte: u8) -> SafetyNumber {
        SafetyNumber(Digest::new(&[byte; 64]).unwrap())
    }

    #[test]
    fn words_are_sorted_and_told_apart_by_three_letters() {
        for pair in WORDS.windows(2) {
            assert!(pair[0][..3] < pair[1][..3], "{pair:?}");
        }
        assert!(WORDS.iter().all(|word| word.bytes().all(|b| b.is_ascii_lowercase())));
    }

    #[test]
    fn words_differ_in_more_than_one_letter() {
        for (i, left) in WORDS.iter().enumerate() {
            for right in WORDS.iter().skip(i + 1).filter(|right| right.len() == left.len()) {
                let different = left.bytes().zip(right.bytes()).filter(|(l, r)| l != r).count();
                assert!(different > 1, "{left} {right}");
            }
        }
    }

    #[test]
    fn a_number_has_sixty_digits_and_sixteen_words() {
        assert_eq!(number(0).digits(), ["00000"; 12].join(" "));
        assert_eq!(number(0).words(), ["acorn"; 16].join(" "));
        // 0xffffffffff modulo 100,000.
        assert_eq!(number(0xff).digits(), ["27775"; 12].join(" "));
        assert_eq!(number(0xff).words(), ["zodiac"; 16].join(" "));
    }

    #[test]
    fn a_number_is_recognised_however_it_is_grouped() {
        assert!(number(0xff).is(&"27775".repeat(12)));
        assert!(number(0xff).is(&["Zodiac"; 16].join("-")));
        assert!(!number(0xff).is(&number(0xfe).digits()));
        assert!(!number(0xff).is(""));
    }

    #[test]
    fn what_could_be_a_number_is_told_from_what_can_not() {
        for text in [number(7).digits(), number(7).words(), "27775".repeat(12), ["Zodiac"; 16].join("-")] {
            assert!(SafetyNumber::is_one(&text), "{text}");
        }
        for text in ["", "12345 67890", "acorn adobe", &"x".repeat(60), &["zodiak"; 16].join(" ")] {
            assert!(!SafetyNumber::is_one(text), "{text}");
        }
    }
}
