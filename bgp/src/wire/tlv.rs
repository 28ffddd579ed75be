//! The walk over path attributes as type, length and value (RFC 4271 §4.3).
//! It ends at the first attribute that overruns the field (RFC 7606 §4).

use super::code;
use super::cursor::Cursor;

/// One attribute as it lies in the message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tlv<'a> {
    pub(super) flags: u8,
    pub(super) code: u8,
    pub(super) value: &'a [u8],
    /// Where in the field the attribute begins.
    pub(super) at: usize,
    /// Flags, code, length and value.
    pub(super) whole: &'a [u8],
}

/// The rest of the field holds no whole attribute.
#[derive(Clone, Copy, Debug)]
pub(super) struct Overrun<'a> {
    /// The code of the attribute that overran, where there was one.
    pub(super) code: Option<u8>,
    /// What is left of the field.
    pub(super) rest: &'a [u8],
}

/// The attributes of a field, in order; after an [`Overrun`] nothing more.
#[derive(Clone, Debug)]
pub(super) struct Tlvs<'a> {
    cursor: Cursor<'a>,
    len: usize,
}

impl<'a> Tlvs<'a> {
    pub(super) const fn new(field: &'a [u8]) -> Self {
        Self { cursor: Cursor::new(field), len: field.len() }
    }

    fn read(&mut self) -> Option<Tlv<'a>> {
        let start = self.cursor.rest();
        let flags = self.cursor.u8()?;
        let code = self.cursor.u8()?;
        let len = if flags & code::EXTENDED_LENGTH == 0 {
            usize::from(self.cursor.u8()?)
        } else {
            usize::from(self.cursor.u16()?)
        };
        let value = self.cursor.take(len)?;
        let whole = start.get(..start.len() - self.cursor.rest().len())?;
        Some(Tlv { flags, code, value, at: self.len - start.len(), whole })
    }
}

impl<'a> Iterator for Tlvs<'a> {
    type Item = Result<Tlv<'a>, Overrun<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.cursor.is_empty() {
            return None;
        }
        let start = self.cursor.rest();
        Some(self.read().ok_or_else(|| {
            self.cursor = Cursor::new(&[]);
            Overrun { code: start.get(1).copied(), rest: start }
        }))
    }
}
