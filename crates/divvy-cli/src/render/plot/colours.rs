//! Colours of pictures: those of Okabe and Ito, which remain distinct for colour-blind readers.

use std::fmt;

/// A colour: red, green, blue.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Colour(pub(super) u8, pub(super) u8, pub(super) u8);

pub(super) const INK: Colour = Colour(0x1b, 0x1f, 0x24);
pub(super) const DARK_GREY: Colour = Colour(0x59, 0x63, 0x6e);
pub(super) const GREY: Colour = Colour(0x9a, 0xa3, 0xad);
pub(super) const LIGHT_GREY: Colour = Colour(0xe3, 0xe7, 0xeb);
pub(super) const WHITE: Colour = Colour(0xff, 0xff, 0xff);
pub(super) const BLUE: Colour = Colour(0x00, 0x72, 0xb2);
pub(super) const VERMILLION: Colour = Colour(0xd5, 0x5e, 0x00);

const SERIES: [Colour; 6] = [
    BLUE,
    Colour(0xe6, 0x9f, 0x00),
    Colour(0x00, 0x9e, 0x73),
    Colour(0xcc, 0x79, 0xa7),
    Colour(0x56, 0xb4, 0xe9),
    Colour(0x6b, 0x6b, 0x6b),
];

impl Colour {
    /// Returns the colour of a series by its index.
    pub(super) fn of_series(index: usize) -> Self {
        SERIES[index % SERIES.len()]
    }

    /// Mixes two colours: `fraction` is 0 for `self`, 1 for `other`.
    pub(super) fn mix(self, other: Self, fraction: f64) -> Self {
        let fraction = fraction.clamp(0.0, 1.0);
        let mix =
            |a: u8, b: u8| (f64::from(a) + (f64::from(b) - f64::from(a)) * fraction).round() as u8;
        Self(
            mix(self.0, other.0),
            mix(self.1, other.1),
            mix(self.2, other.2),
        )
    }
}

/// Writes the colour as SVG does: `#0072b2`.
impl fmt::Display for Colour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{:02x}{:02x}{:02x}", self.0, self.1, self.2)
    }
}
