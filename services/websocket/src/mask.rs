//! Masks: a client's payload is exclusive-or'd with four bytes of its choice.

/// Takes the mask off, eight bytes at a time; `offset` says how many bytes of the same payload came before.
pub(crate) fn unmask(bytes: &mut [u8], mask: [u8; 4], offset: usize) {
    let turned: [u8; 4] = std::array::from_fn(|at| mask[(at + offset) % 4]);
    let [a, b, c, d] = turned;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (words, rest) = bytes.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    for (byte, mask) in rest.iter_mut().zip(turned.into_iter().cycle()) {
        *byte ^= mask;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_is_the_slow_way_only_quicker(
            mut bytes in prop::collection::vec(any::<u8>(), 0..70),
            mask: [u8; 4],
            offset in 0..9usize,
        ) {
            let slow: Vec<u8> = bytes.iter().enumerate().map(|(at, byte)| byte ^ mask[(at + offset) % 4]).collect();
            unmask(&mut bytes, mask, offset);
            prop_assert_eq!(bytes, slow);
        }
    }
}
