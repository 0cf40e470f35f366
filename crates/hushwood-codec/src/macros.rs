//! Structures declared once, as the RFC draws them, with encoder and decoder in field order.

/// Declares a structure whose encoding is that of its fields in order.
///
/// See the example at the top of the crate.
#[macro_export]
macro_rules! wire_struct {
    ($(#[$meta:meta])* $vis:vis struct $name:ident {
        $( $(#[$field_meta:meta])* $field_vis:vis $field:ident : $type:ty ),* $(,)?
    }) => {
        $(#[$meta])*
        $vis struct $name { $( $(#[$field_meta])* $field_vis $field : $type ),* }

        impl $crate::Encode for $name {
            fn encode(&self, writer: &mut $crate::Writer) {
                $( $crate::Encode::encode(&self.$field, writer); )*
            }
        }

        impl $crate::Decode for $name {
            fn decode(reader: &mut $crate::Reader<'_>) -> Result<Self, $crate::DecodeError> {
                Ok(Self { $( $field: {
                    reader.field(concat!(stringify!($name), ".", stringify!($field)));
                    <$type as $crate::Decode>::decode(reader)?
                } ),* })
            }
        }

        impl $crate::Element for $name {}
    };
}

/// Declares a tuple structure of one field that is encoded as that field.
#[macro_export]
macro_rules! wire_newtype {
    ($(#[$meta:meta])* $vis:vis struct $name:ident ( $field_vis:vis $type:ty );) => {
        $(#[$meta])*
        $vis struct $name($field_vis $type);

        impl $crate::Encode for $name {
            fn encode(&self, writer: &mut $crate::Writer) {
                $crate::Encode::encode(&self.0, writer);
            }
        }

        impl $crate::Decode for $name {
            fn decode(reader: &mut $crate::Reader<'_>) -> Result<Self, $crate::DecodeError> {
                <$type as $crate::Decode>::decode(reader).map(Self)
            }
        }

        impl $crate::Element for $name {}
    };
}

/// Declares the values of a registry (RFC 9420 §17): a `uint16` that may hold values nobody knows yet.
///
/// Known values become associated constants and print by their name, others as hexadecimal.
#[macro_export]
macro_rules! wire_registry {
    ($(#[$meta:meta])* $vis:vis struct $name:ident {
        $( $(#[$value_meta:meta])* $constant:ident = $value:literal $text:literal ),* $(,)?
    }) => {
        $crate::wire_newtype! {
            $(#[$meta])*
            #[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
            $vis struct $name(pub u16);
        }

        impl $name {
            $( $(#[$value_meta])* pub const $constant: Self = Self($value); )*
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                match self.0 {
                    $( $value => f.write_str($text), )*
                    other => write!(f, "{other:#06x}"),
                }
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }
    };
}
