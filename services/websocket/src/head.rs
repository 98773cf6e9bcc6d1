//! The head of a client's frame: collected byte by byte, judged as soon as there is something to judge.

use crate::{Violation, frame::Opcode};

/// What stands before a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) last: bool,
    pub(crate) deflated: bool,
    pub(crate) opcode: Opcode,
    pub(crate) mask: [u8; 4],
    pub(crate) payload_len: u64,
}

/// A head of which maybe not all bytes have come.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct PartialHead {
    bytes: [u8; MAX_BYTES],
    len: u8,
}

/// Two bytes, a long length, a mask.
const MAX_BYTES: usize = 14;

impl PartialHead {
    /// Takes what belongs to the head; gives how many bytes those were, and the head once it is whole.
    pub(crate) fn read(&mut self, input: &[u8]) -> Result<(usize, Option<Head>), Violation> {
        let mut taken = self.take(input, 2);
        if self.len < 2 {
            return Ok((taken, None));
        }
        // Nothing that two bytes show to be wrong waits for a third.
        let (opcode, short_len) = self.first_two()?;
        let wide = match short_len {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let whole = 2 + wide + 4;
        taken += self.take(&input[taken..], whole);
        if usize::from(self.len) < whole {
            return Ok((taken, None));
        }
        let payload_len = self.payload_len(short_len, wide)?;
        let mut mask = [0; 4];
        mask.copy_from_slice(&self.bytes[whole - 4..whole]);
        let head = Head {
            last: self.bytes[0] & 0x80 != 0,
            deflated: self.bytes[0] & 0x40 != 0,
            opcode,
            mask,
            payload_len,
        };
        Ok((taken, Some(head)))
    }

    /// Fills up to `whole` bytes.
    fn take(&mut self, input: &[u8], whole: usize) -> usize {
        let have = usize::from(self.len);
        let count = whole.saturating_sub(have).min(input.len());
        self.bytes[have..have + count].copy_from_slice(&input[..count]);
        self.len += u8::try_from(count).expect("a head has at most 14 bytes");
        count
    }

    fn first_two(&self) -> Result<(Opcode, u8), Violation> {
        let [first, second, ..] = self.bytes;
        if first & 0x30 != 0 {
            return Err(Violation::ReservedBit);
        }
        let opcode = Opcode::from_bits(first & 0x0f).ok_or(Violation::ReservedOpcode)?;
        let short_len = second & 0x7f;
        if opcode.is_control() {
            if first & 0x40 != 0 {
                return Err(Violation::ReservedBit);
            }
            if first & 0x80 == 0 {
                return Err(Violation::FragmentedControl);
            }
            if short_len > 125 {
                return Err(Violation::LongControl);
            }
        }
        if second & 0x80 == 0 {
            return Err(Violation::Unmasked);
        }
        Ok((opcode, short_len))
    }

    fn payload_len(&self, short_len: u8, wide: usize) -> Result<u64, Violation> {
        let mut long = [0; 8];
        long[8 - wide..].copy_from_slice(&self.bytes[2..2 + wide]);
        let long = u64::from_be_bytes(long);
        let shortest = match wide {
            0 => return Ok(u64::from(short_len)),
            2 => 126..=0xffff,
            _ => 0x1_0000..=u64::MAX >> 1,
        };
        if shortest.contains(&long) {
            Ok(long)
        } else {
            Err(Violation::BadLength)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Result<Option<Head>, Violation> {
        let mut head = PartialHead::default();
        let whole = head.read(bytes).map(|(_, head)| head);
        let mut dripping = PartialHead::default();
        let dripped = bytes
            .iter()
            .map(|byte| dripping.read(&[*byte]).map(|(_, head)| head))
            .find(|result| !matches!(result, Ok(None)));
        assert_eq!(dripped.unwrap_or(Ok(None)), whole, "byte by byte it is the same");
        whole
    }

    fn long(len: u64) -> Result<u64, Violation> {
        let bytes = [&[0x82, 0xff][..], &len.to_be_bytes(), &[1, 2, 3, 4]].concat();
        read(&bytes).map(|head| head.unwrap().payload_len)
    }

    fn middling(len: u16) -> Result<u64, Violation> {
        let bytes = [&[0x82, 0xfe][..], &len.to_be_bytes(), &[1, 2, 3, 4]].concat();
        read(&bytes).map(|head| head.unwrap().payload_len)
    }

    #[test]
    fn the_mask_and_the_length_are_read() {
        let head = read(&[0x81, 0x85, 9, 8, 7, 6]).unwrap().unwrap();
        assert_eq!((head.payload_len, head.mask, head.last), (5, [9, 8, 7, 6], true));
        assert_eq!(head.opcode, Opcode::Text);
        assert_eq!(read(&[0x81, 0x85, 9, 8, 7]), Ok(None));
    }

    #[test]
    fn a_length_in_more_bytes_than_it_needs_is_refused() {
        assert_eq!(middling(126), Ok(126));
        assert_eq!(middling(125), Err(Violation::BadLength));
        assert_eq!(long(0x1_0000), Ok(0x1_0000));
        assert_eq!(long(0xffff), Err(Violation::BadLength));
        assert_eq!(long(u64::MAX >> 1), Ok(u64::MAX >> 1));
        assert_eq!(long(1 << 63), Err(Violation::BadLength));
    }

    #[test]
    fn two_bytes_are_enough_to_be_refused() {
        for (bytes, violation) in [
            ([0x91, 0x80], Violation::ReservedBit),
            ([0xa1, 0x80], Violation::ReservedBit),
            ([0xc9, 0x80], Violation::ReservedBit),
            ([0x83, 0x80], Violation::ReservedOpcode),
            ([0x8b, 0x80], Violation::ReservedOpcode),
            ([0x81, 0x00], Violation::Unmasked),
            ([0x09, 0x80], Violation::FragmentedControl),
            ([0x89, 0xfe], Violation::LongControl),
            ([0x88, 0xff], Violation::LongControl),
        ] {
            assert_eq!(read(&bytes), Err(violation), "{bytes:x?}");
        }
    }
}
