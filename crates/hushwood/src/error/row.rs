//! A row of the requirements list.

use std::fmt;

/// A duty of RFC 9420 (`C…`), RFC 9750 (`A…`) or a draft (`X…`), as numbered in `spec/`.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Row(pub &'static str);

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}
