//! Numbers out of a seed: the same seed, the same faults (SplitMix64, Steele et al. 2014).

/// A sequence of numbers.
#[derive(Debug, Clone)]
pub struct Chance(pub u64);

impl Chance {
    /// The next number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut number = self.0;
        number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (number ^ (number >> 31)) % bound.max(1)
    }

    /// One of several.
    pub fn one<T: Copy>(&mut self, of: &[T]) -> T {
        let at = usize::try_from(self.below(of.len() as u64)).unwrap_or_default();
        of[at]
    }
}

#[cfg(test)]
mod tests {
    use super::Chance;

    #[test]
    fn a_seed_says_all() {
        let draw = |seed| (0..20).scan(Chance(seed), |chance, _| Some(chance.below(7))).collect::<Vec<_>>();
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
        assert!(
            (0..7).all(|number| draw(3).iter().chain(&draw(4)).chain(&draw(5)).any(|drawn| *drawn == number))
        );
    }
}
