//! Chance that repeats itself: the same seed and tags give the same throws, on every machine and in every release.
//!
//! SplitMix64 in its published form. Not a crate's generator, whose stream may change with its version, and with it every
//! record of a seed.

use std::fmt::Write;

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// Spreads the bits of `value`; a bijection.
pub(super) fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// A number for a text, the same in every run.
pub(super) fn mix_text(text: &str) -> u64 {
    text.bytes().fold(GOLDEN, |state, byte| mix(state ^ u64::from(byte)))
}

/// A stream of throws.
#[derive(Clone, Debug)]
pub(super) struct Dice(u64);

impl Dice {
    /// The stream of a seed and what it is thrown for; other tags, other stream.
    pub(super) fn of(seed: u64, tags: &[u64]) -> Self {
        Self(
            tags.iter()
                .fold(mix(seed ^ GOLDEN), |state, tag| mix(state.rotate_left(17) ^ mix(tag.wrapping_add(GOLDEN)))),
        )
    }

    pub(super) fn throw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GOLDEN);
        mix(self.0)
    }

    /// 0 to `bound` - 1; 0 when `bound` is 0.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        let wide = u128::from(self.throw()) * u128::from(bound);
        u64::try_from(wide >> 64).unwrap_or(0)
    }

    /// `low` to `high` - 1.
    pub(super) fn between(&mut self, low: i64, high: i64) -> i64 {
        low.saturating_add_unsigned(self.below(high.abs_diff(low)))
    }

    pub(super) fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.below(len as u64)).unwrap_or(0)
    }

    pub(super) fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.index(of.len())]
    }

    /// 0 to just under 1.
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit a double exactly")]
    pub(super) fn unit(&mut self) -> f64 {
        (self.throw() >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub(super) fn chance(&mut self, share: f64) -> bool {
        self.unit() < share
    }

    /// Around `mean`, seldom further away than two `spread`s.
    pub(super) fn bell(&mut self, mean: f64, spread: f64) -> f64 {
        let sum = self.unit() + self.unit() + self.unit() + self.unit();
        mean + (sum - 2.0) * spread * 1.732
    }

    /// `median` times a factor that is as often above as below 1.
    pub(super) fn around(&mut self, median: f64, sigma: f64) -> f64 {
        median * self.bell(0.0, sigma).exp()
    }

    pub(super) fn guid(&mut self) -> String {
        let (high, low) = (self.throw(), self.throw());
        guid_of(high, low)
    }

    pub(super) fn hex(&mut self) -> String {
        format!("{:016x}{:016x}", self.throw(), self.throw())
    }
}

/// A GUID of version 4 out of the upper 60 bits of `high` and the lower 62 bits of `low`.
pub(super) fn guid_of(high: u64, low: u64) -> String {
    let variant = (low & (u64::MAX >> 2)) | 1 << 63;
    let mut text = String::with_capacity(36);
    let written = write!(
        text,
        "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
        high >> 32,
        (high >> 16) & 0xffff,
        (high >> 4) & 0xfff,
        variant >> 48,
        variant & 0xffff_ffff_ffff
    );
    debug_assert!(written.is_ok(), "a String takes everything");
    text
}

/// Rounds toward zero; the ends for what does not fit.
#[expect(clippy::cast_possible_truncation, reason = "a cast of a double saturates, which is what is wanted")]
pub(super) fn whole(value: f64) -> i64 {
    value as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_throws_the_same() {
        let mut dice = Dice::of(1, &[2, 3]);
        let mut again = Dice::of(1, &[2, 3]);
        assert_eq!(dice.guid(), again.guid());
        assert_ne!(Dice::of(1, &[2, 3]).throw(), Dice::of(1, &[3, 2]).throw());
        assert_ne!(Dice::of(1, &[2]).throw(), Dice::of(2, &[2]).throw());
    }

    #[test]
    fn throws_stay_inside_their_bounds() {
        let mut dice = Dice::of(7, &[]);
        for _ in 0..2000 {
            assert!(dice.below(3) < 3);
            assert!((-5..9).contains(&dice.between(-5, 9)));
            assert!((0.0..1.0).contains(&dice.unit()));
        }
        let guid = dice.guid();
        assert_eq!(guid.len(), 36);
        assert_eq!(guid.as_bytes()[14], b'4');
        assert!(b"89ab".contains(&guid.as_bytes()[19]));
    }
}
