//! RFC 9420 §2.1: decoding.
//!
//! The only way from bytes to values. Everything is checked against what is left of the input and
//! against [`DecodeLimits`] before memory is taken for it.

use std::fmt;

use crate::{DecodeError, DecodeErrorKind, Element};

/// A value that can be read from its encoding.
pub trait Decode: Sized {
    /// Reads one value from the reader's position.
    ///
    /// # Errors
    /// [`DecodeError`] if the bytes are not a canonical encoding; the reader is then of no more use.
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError>;

    /// Reads a value that must fill `bytes` exactly, with default limits.
    ///
    /// # Errors
    /// [`DecodeError`] if the bytes are not a canonical encoding of one value.
    fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        Self::from_bytes_with(bytes, DecodeLimits::default())
    }

    /// Reads a value that must fill `bytes` exactly.
    ///
    /// # Errors
    /// [`DecodeError`] if the bytes are not a canonical encoding of one value, or exceed `limits`.
    fn from_bytes_with(bytes: &[u8], limits: DecodeLimits) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes, limits)?;
        let value = Self::decode(&mut reader)?;
        reader.finish()?;
        Ok(value)
    }
}

/// What a decoder accepts at most, whatever the input says (RFC 9420 §2.1.2, C009, C029).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct DecodeLimits {
    /// Size of the whole input, in bytes. Default 256 MiB. `usize::MAX`, for bytes of our own, also lifts
    /// the limit on the memory that their values take.
    pub max_bytes: usize,
    /// Vector elements in the whole input, opaque bytes not counted. Default 8,388,608.
    pub max_elements: usize,
    /// Vectors within vectors. Default 16.
    pub max_depth: u8,
}

impl Default for DecodeLimits {
    fn default() -> Self {
        Self { max_bytes: 256 << 20, max_elements: 8 << 20, max_depth: 16 }
    }
}

/// How many bytes of memory the elements of vectors may take for each byte of input, and how many in any case.
///
/// An element of a few bytes on the wire may be a structure of dozens in memory. Of what members send, a list
/// of Removes grows most: from 7 bytes to 32 each. Strings of bytes take at most as many again, and so does the room that a vector has
/// got before its elements were counted: 8 for each byte in all.
const MEMORY_PER_BYTE: usize = 6;
const MEMORY_IN_ANY_CASE: usize = 512 << 10;

/// A position in bytes being decoded.
pub struct Reader<'a> {
    input: &'a [u8],
    position: usize,
    /// End of the vector being read; the end of the input at top level.
    end: usize,
    elements_left: usize,
    memory_left: usize,
    depth_left: u8,
    field: &'static str,
    /// Values are read to see how many there are; vectors keep none of theirs.
    counting: bool,
}

impl<'a> Reader<'a> {
    /// Starts at the first byte of `input`.
    ///
    /// # Errors
    /// [`DecodeErrorKind::TooLarge`] if `input` exceeds `limits.max_bytes`.
    pub fn new(input: &'a [u8], limits: DecodeLimits) -> Result<Self, DecodeError> {
        let memory = input.len().saturating_mul(MEMORY_PER_BYTE).saturating_add(MEMORY_IN_ANY_CASE);
        let reader = Self {
            input,
            position: 0,
            end: input.len(),
            elements_left: limits.max_elements,
            memory_left: if limits.max_bytes == usize::MAX { usize::MAX } else { memory },
            depth_left: limits.max_depth,
            field: "",
            counting: false,
        };
        if input.len() > limits.max_bytes {
            return Err(reader.error(DecodeErrorKind::TooLarge));
        }
        Ok(reader)
    }

    /// Names the field read next, for errors. Generated code calls it before each field.
    pub fn field(&mut self, name: &'static str) -> &mut Self {
        self.field = name;
        self
    }

    /// An error at this position.
    #[must_use]
    pub fn error(&self, kind: DecodeErrorKind) -> DecodeError {
        DecodeError { kind, offset: self.position, field: self.field }
    }

    /// Bytes consumed so far.
    #[must_use]
    pub fn position(&self) -> usize {
        self.position
    }

    /// Bytes left in the vector being read, or in the input at top level.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.end.saturating_sub(self.position)
    }

    /// The bytes consumed since `start`, an earlier [`position`](Self::position).
    #[must_use]
    pub fn consumed_since(&self, start: usize) -> &'a [u8] {
        self.input.get(start..self.position).unwrap_or_default()
    }

    /// Takes the next `length` bytes.
    ///
    /// # Errors
    /// [`DecodeErrorKind::EndOfInput`] if fewer are left.
    #[inline]
    pub fn take(&mut self, length: usize) -> Result<&'a [u8], DecodeError> {
        if length > self.remaining() {
            return Err(self.error(DecodeErrorKind::EndOfInput));
        }
        let end = self.position.saturating_add(length);
        let bytes = self.input.get(self.position..end).ok_or(self.error(DecodeErrorKind::EndOfInput))?;
        self.position = end;
        Ok(bytes)
    }

    /// Takes all bytes that are left.
    ///
    /// # Errors
    /// None in practice; the signature is that of [`take`](Self::take).
    pub fn take_rest(&mut self) -> Result<&'a [u8], DecodeError> {
        self.take(self.remaining())
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let bytes = self.take(N)?;
        bytes.try_into().map_err(|_| self.error(DecodeErrorKind::EndOfInput))
    }

    /// Reads a variable-size length header (RFC 9420 §2.1.2, C011).
    ///
    /// # Errors
    /// [`DecodeErrorKind::LengthPrefixReserved`], [`DecodeErrorKind::LengthNotMinimal`], or
    /// [`DecodeErrorKind::EndOfInput`].
    #[inline]
    pub fn length(&mut self) -> Result<usize, DecodeError> {
        let [first] = self.array::<1>()?;
        let low = u32::from(first & 0x3f);
        let (value, minimum) = match first >> 6 {
            0 => (low, 0),
            1 => {
                let [second] = self.array::<1>()?;
                (low << 8 | u32::from(second), 1 << 6)
            }
            2 => {
                let [b, c, d] = self.array::<3>()?;
                (low << 24 | u32::from(b) << 16 | u32::from(c) << 8 | u32::from(d), 1 << 14)
            }
            // RFC 9420 §2.1.2, C003: vectors that start with the prefix 11 are rejected.
            _ => return Err(self.error(DecodeErrorKind::LengthPrefixReserved)),
        };
        // RFC 9420 §2.1.2, C004, C005: more bits than necessary are malformed.
        if value < minimum {
            return Err(self.error(DecodeErrorKind::LengthNotMinimal));
        }
        usize::try_from(value).map_err(|_| self.error(DecodeErrorKind::TooLarge))
    }

    /// Reads `opaque name<V>`.
    ///
    /// # Errors
    /// As [`length`](Self::length) and [`take`](Self::take).
    #[inline]
    pub fn opaque(&mut self) -> Result<&'a [u8], DecodeError> {
        let length = self.length()?;
        self.take(length)
    }

    /// Reads a length header and then, with `read`, a value that must fill exactly that many bytes (C002, C010,
    /// C028).
    ///
    /// # Errors
    /// Those of `read`; [`DecodeErrorKind::TrailingBytes`] if it leaves bytes;
    /// [`DecodeErrorKind::TooDeep`].
    pub fn nested<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<T, DecodeError> {
        let length = self.length()?;
        // C008: a length beyond the input is refused before anything is allocated for it.
        if length > self.remaining() {
            return Err(self.error(DecodeErrorKind::EndOfInput));
        }
        self.depth_left =
            self.depth_left.checked_sub(1).ok_or_else(|| self.error(DecodeErrorKind::TooDeep))?;
        let outer_end = self.end;
        self.end = self.position.saturating_add(length);
        let value = read(self)?;
        if self.remaining() > 0 {
            return Err(self.error(DecodeErrorKind::TrailingBytes));
        }
        self.end = outer_end;
        self.depth_left = self.depth_left.saturating_add(1);
        Ok(value)
    }

    /// Reads a vector `T name<V>`, handing each element to `each`.
    ///
    /// # Errors
    /// Those of the elements and of `each`; [`DecodeErrorKind::TooManyElements`].
    pub fn for_each<T: Decode>(
        &mut self,
        mut each: impl FnMut(&mut Self, T) -> Result<(), DecodeError>,
    ) -> Result<(), DecodeError> {
        self.nested(|reader| {
            let field = reader.field;
            while reader.remaining() > 0 {
                reader.elements_left = reader
                    .elements_left
                    .checked_sub(1)
                    .ok_or_else(|| reader.error(DecodeErrorKind::TooManyElements))?;
                reader.count_memory_of::<T>()?;
                let element = T::decode(reader)?;
                each(reader.field(field), element)?;
            }
            Ok(())
        })
    }

    /// How many more `T` the vector that is being read has, up to the first one that is malformed or exceeds a limit. Keeps none of them.
    fn count<T: Decode>(&self) -> usize {
        let mut ahead = Reader { counting: true, ..*self };
        let mut count = 0;
        while ahead.remaining() > 0
            && ahead.count_memory_of::<T>().and_then(|()| T::decode(&mut ahead)).is_ok()
        {
            count += 1;
        }
        count
    }

    /// Counts the memory that one more `T` takes.
    #[inline]
    fn count_memory_of<T>(&mut self) -> Result<(), DecodeError> {
        // RFC 9420 §2.1.2, C009, C029: no more memory than a small multiple of the input.
        let left = self.memory_left.checked_sub(size_of::<T>());
        self.memory_left = left.ok_or_else(|| self.error(DecodeErrorKind::TooManyElements))?;
        Ok(())
    }

    /// Ends the decoding: all bytes must have been consumed (C012).
    ///
    /// # Errors
    /// [`DecodeErrorKind::TrailingBytes`].
    pub fn finish(self) -> Result<(), DecodeError> {
        match self.remaining() {
            0 => Ok(()),
            _ => Err(self.error(DecodeErrorKind::TrailingBytes)),
        }
    }
}

/// The bytes may be those of secrets.
impl fmt::Debug for Reader<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Reader");
        debug.field("position", &self.position).field("remaining", &self.remaining());
        debug.field("field", &self.field).finish_non_exhaustive()
    }
}

impl Decode for u8 {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.array().map(Self::from_be_bytes)
    }
}

impl Decode for u16 {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.array().map(Self::from_be_bytes)
    }
}

impl Decode for u32 {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.array().map(Self::from_be_bytes)
    }
}

impl Decode for u64 {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.array().map(Self::from_be_bytes)
    }
}

/// A fixed-size `opaque name[N]`.
impl<const N: usize> Decode for [u8; N] {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.array()
    }
}

/// `opaque name<V>`.
impl Decode for Vec<u8> {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.opaque().map(<[u8]>::to_vec)
    }
}

/// `T name<V>`.
impl<T: Decode + Element> Decode for Vec<T> {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut elements = Self::new();
        let mut counted = false;
        reader.for_each(|reader, element| {
            if reader.counting {
                return Ok(());
            }
            if elements.is_empty() {
                // As many as come if they are as long on the wire as in memory, and never more memory than bytes.
                elements.reserve_exact(1 + reader.remaining() / size_of::<T>().max(1));
            } else if elements.len() == elements.capacity() && !counted {
                // Growing by doubling would take up to three times what they need.
                elements.reserve_exact(1 + reader.count::<T>());
                counted = true;
            }
            elements.push(element);
            Ok(())
        })?;
        Ok(elements)
    }
}

/// `optional<T>` (RFC 9420 §2.1.1).
impl<T: Decode> Decode for Option<T> {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match u8::decode(reader)? {
            0 => Ok(None),
            1 => T::decode(reader).map(Some),
            // RFC 9420 §2.1.1, C001: any other presence octet is malformed.
            _ => Err(reader.error(DecodeErrorKind::PresenceOctet)),
        }
    }
}

impl<T: Decode> Decode for Box<T> {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.count_memory_of::<T>()?;
        T::decode(reader).map(Self::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Encode;

    fn length(bytes: &[u8]) -> Result<usize, DecodeErrorKind> {
        Reader::new(bytes, DecodeLimits::default()).unwrap().length().map_err(|e| e.kind)
    }

    #[test]
    fn lengths_of_the_rfc_examples_decode() {
        assert_eq!(length(&[0x9d, 0x7f, 0x3e, 0x7d]), Ok(494_878_333));
        assert_eq!(length(&[0x7b, 0xbd]), Ok(15_293));
        assert_eq!(length(&[0x25]), Ok(37));
    }

    #[test]
    fn every_two_byte_head_is_a_minimal_length_or_refused() {
        for head in 0..=u16::MAX {
            let [first, second] = head.to_be_bytes();
            let got = length(&[first, second, 0, 0]);
            let low = usize::from(head & 0x3fff);
            let want = match first >> 6 {
                0 => Ok(usize::from(first)),
                1 if low < 64 => Err(DecodeErrorKind::LengthNotMinimal),
                1 => Ok(low),
                2 if low << 16 < 16_384 => Err(DecodeErrorKind::LengthNotMinimal),
                2 => Ok(low << 16),
                _ => Err(DecodeErrorKind::LengthPrefixReserved),
            };
            assert_eq!(got, want, "head {head:04x}");
        }
    }

    #[test]
    fn integers_are_big_endian() {
        let bytes = [1, 2, 3, 4, 5, 6, 7, 8];
        assert_eq!(u8::from_bytes(&bytes[..1]), Ok(0x01));
        assert_eq!(u16::from_bytes(&bytes[..2]), Ok(0x0102));
        assert_eq!(u32::from_bytes(&bytes[..4]), Ok(0x0102_0304));
        assert_eq!(u64::from_bytes(&bytes), Ok(0x0102_0304_0506_0708));
    }

    #[test]
    fn a_reader_knows_where_it_is_and_what_it_has_passed() {
        let bytes = [9, 3, 1, 2, 3, 7, 8];
        let mut reader = Reader::new(&bytes, DecodeLimits::default()).unwrap();
        assert_eq!((reader.position(), reader.remaining()), (0, 7));
        assert_eq!(reader.take(1), Ok(&[9][..]));
        let start = reader.position();
        assert_eq!(reader.opaque(), Ok(&[1, 2, 3][..]));
        assert_eq!((start, reader.position()), (1, 5));
        assert_eq!(reader.consumed_since(start), [3, 1, 2, 3]);
        assert_eq!(reader.take_rest(), Ok(&[7, 8][..]));
        assert_eq!((reader.position(), reader.remaining()), (7, 0));
        assert_eq!(reader.take_rest(), Ok(&[][..]));
    }

    #[test]
    fn the_default_limits_are_those_that_are_documented() {
        let DecodeLimits { max_bytes, max_elements, max_depth } = DecodeLimits::default();
        assert_eq!((max_bytes, max_elements, max_depth), (268_435_456, 8_388_608, 16));
    }

    #[test]
    fn a_list_takes_the_memory_of_its_elements_and_no_more() {
        let elements: Vec<u16> = (0..100).collect();
        let decoded = Vec::<u16>::from_bytes(&elements.to_bytes().unwrap()).unwrap();
        assert_eq!((decoded.capacity(), decoded), (100, elements));
        // Two bytes each on the wire, and 48 in memory.
        let decoded = Vec::<Wide>::from_bytes(&vector(vec![0; 200])).unwrap();
        assert_eq!((decoded.len(), decoded.capacity()), (100, 100));
    }

    #[test]
    fn a_list_that_is_counted_before_it_is_read_is_what_it_would_be_and_so_are_its_errors() {
        let wide = |left: &[u8]| Wide { left: left.to_vec(), right: vec![7; 3] };
        let lists: Vec<Vec<Wide>> =
            (0..40_u8).map(|number| (0..number).map(|length| wide(&[length; 2])).collect()).collect();
        let bytes = lists.to_bytes().unwrap();
        let decoded = Vec::<Vec<Wide>>::from_bytes(&bytes).unwrap();
        assert_eq!(decoded.to_bytes().unwrap(), bytes);
        // The last element is cut: the error is that of reading it, and where.
        let short = [0_u8; 199];
        let error = Vec::<Wide>::from_bytes(&vector(short.to_vec())).unwrap_err();
        assert_eq!((error.kind, error.offset), (DecodeErrorKind::EndOfInput, 201));
    }

    #[test]
    fn truncated_integers_and_lengths_are_refused() {
        for bytes in [&[][..], &[0x40], &[0x80], &[0x80, 1, 0]] {
            assert_eq!(length(bytes), Err(DecodeErrorKind::EndOfInput));
        }
        for bytes in [&[][..], &[1], &[1, 2, 3]] {
            assert_eq!(u32::from_bytes(bytes).unwrap_err().kind, DecodeErrorKind::EndOfInput);
        }
    }

    #[test]
    fn a_length_bomb_is_refused_before_memory_is_taken() {
        let bomb = [0xbf, 0xff, 0xff, 0xff, 0];
        assert_eq!(Vec::<u8>::from_bytes(&bomb).unwrap_err().kind, DecodeErrorKind::EndOfInput);
        assert_eq!(Vec::<u16>::from_bytes(&bomb).unwrap_err().kind, DecodeErrorKind::EndOfInput);
    }

    #[test]
    fn presence_octets_other_than_zero_and_one_are_refused() {
        assert_eq!(Option::<u8>::from_bytes(&[0]), Ok(None));
        assert_eq!(Option::<u8>::from_bytes(&[1, 9]), Ok(Some(9)));
        assert_eq!(Option::<u8>::from_bytes(&[1]).unwrap_err().kind, DecodeErrorKind::EndOfInput);
        assert_eq!(Option::<u8>::from_bytes(&[0, 9]).unwrap_err().kind, DecodeErrorKind::TrailingBytes);
        for octet in 2..=u8::MAX {
            let error = Option::<u8>::from_bytes(&[octet, 9]).unwrap_err();
            assert_eq!(error.kind, DecodeErrorKind::PresenceOctet);
        }
    }

    #[test]
    fn a_vector_that_does_not_divide_into_elements_is_refused() {
        assert_eq!(Vec::<u16>::from_bytes(&[4, 0, 1, 0, 2]), Ok(vec![1, 2]));
        assert_eq!(Vec::<u16>::from_bytes(&[3, 0, 1, 0]).unwrap_err().kind, DecodeErrorKind::EndOfInput);
    }

    #[test]
    fn limits_hold_on_size_elements_and_depth() {
        let limits = DecodeLimits { max_bytes: 8, max_elements: 2, max_depth: 1 };
        assert_eq!(Vec::<u16>::from_bytes_with(&[4, 0, 1, 0, 2], limits), Ok(vec![1, 2]));
        let kind = |bytes: &[u8]| Vec::<u16>::from_bytes_with(bytes, limits).unwrap_err().kind;
        assert_eq!(kind(&[6, 0, 1, 0, 2, 0, 3]), DecodeErrorKind::TooManyElements);
        assert_eq!(kind(&[0; 9]), DecodeErrorKind::TooLarge);
        let deep = Vec::<Vec<u16>>::from_bytes_with(&[3, 2, 0, 1], limits).unwrap_err();
        assert_eq!(deep.kind, DecodeErrorKind::TooDeep);
    }

    crate::wire_struct! {
        /// Two bytes on the wire, 48 in memory.
        #[derive(Debug)]
        struct Wide {
            left: Vec<u8>,
            right: Vec<u8>,
        }
    }

    fn vector(content: Vec<u8>) -> Vec<u8> {
        content.to_bytes().unwrap()
    }

    #[test]
    fn elements_that_are_small_on_the_wire_and_large_in_memory_are_refused_before_there_are_many() {
        let free = MEMORY_IN_ANY_CASE / size_of::<Wide>();
        assert_eq!(Vec::<Wide>::from_bytes(&vector(vec![0; 2 * free])).unwrap().len(), free);
        let bomb = vector(vec![0; 1 << 20]);
        let error = Vec::<Wide>::from_bytes(&bomb).unwrap_err();
        assert_eq!(error.kind, DecodeErrorKind::TooManyElements);
        let read = (error.offset - 4) / 2 * size_of::<Wide>();
        assert!(read <= bomb.len() * MEMORY_PER_BYTE + MEMORY_IN_ANY_CASE, "{read}");
        let all = DecodeLimits { max_bytes: usize::MAX, ..DecodeLimits::default() };
        assert_eq!(Vec::<Wide>::from_bytes_with(&bomb, all).unwrap().len(), 1 << 19);
    }

    #[test]
    fn what_is_in_boxes_counts_as_well() {
        let bomb = vector([1, 0, 0].repeat(1 << 16));
        let error = Vec::<Option<Box<Wide>>>::from_bytes(&bomb).unwrap_err();
        assert_eq!(error.kind, DecodeErrorKind::TooManyElements);
        // What is not there takes eight bytes each.
        let blanks = vector(vec![0; 1 << 17]);
        assert_eq!(Vec::<Option<Box<Wide>>>::from_bytes(&blanks).unwrap().len(), 1 << 17);
    }

    #[test]
    fn a_reader_and_a_writer_print_no_bytes() {
        let reader = Reader::new(&[171, 205], DecodeLimits::default()).unwrap();
        let mut writer = crate::Writer::new();
        writer.raw(&[171, 205]);
        for printed in [format!("{reader:?}"), format!("{writer:?}")] {
            assert!(!printed.contains("171") && !printed.contains("205"), "{printed}");
        }
    }
}
