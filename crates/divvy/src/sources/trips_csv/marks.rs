//! Where the cells of a stretch of CSV begin, told for 64 bytes at a time.
//!
//! The method is that of Geoff Langdale and Daniel Lemire, "Parsing Gigabytes of JSON per Second"
//! (2019): a bit for each byte says whether it is a quote, a comma or a line end; bits that lie
//! between quotes are crossed out; what is left are the ends of cells.
//!
//! It is for text as publishers write nearly all of it: a cell is in quotes as a whole or not at
//! all, and holds neither quotes nor line ends. Anything else is *odd*, and is left to the splitter
//! that goes byte by byte.

use wide::u8x16;

/// The cells of some whole rows, and the beginning of one more.
#[derive(Default)]
pub(super) struct Marks {
    /// Where each cell begins: 0, then the place behind each comma and line end.
    pub(super) starts: Vec<u32>,
    /// For each row the mark of the row behind it.
    pub(super) rows: Vec<u32>,
}

/// The carries from one 64 bytes to the next.
struct Carry {
    /// All ones between quotes.
    inside: u64,
    /// The last byte was the end of a cell.
    end: u64,
    /// The last byte was a closing quote.
    closing: u64,
    /// The last byte was a carriage return.
    cr: u64,
}

impl Marks {
    /// Forgets all marks.
    pub(super) fn clear(&mut self) {
        self.starts.clear();
        self.rows.clear();
    }

    /// Marks a text that begins with a row. `false` where it is odd: there are no marks then.
    pub(super) fn scan(&mut self, text: &[u8]) -> bool {
        self.clear();
        self.starts.push(0);
        let mut carry = Carry {
            inside: 0,
            end: 1,
            closing: 0,
            cr: 0,
        };
        let (blocks, rest) = text.as_chunks::<64>();
        let mut odd = 0;
        for (place, block) in blocks.iter().enumerate() {
            odd |= self.block(block, 64 * place, &mut carry);
        }
        if !rest.is_empty() {
            let mut last = [0; 64];
            last[..rest.len()].copy_from_slice(rest);
            // What follows the last byte is not known yet, so nothing can be odd there.
            let known = (1 << rest.len()) - 1;
            odd |= self.block(&last, 64 * blocks.len(), &mut carry) & known;
        }
        if odd != 0 {
            self.clear();
        }
        odd == 0
    }

    /// Marks 64 bytes; returns a bit for each that is odd.
    #[inline(always)]
    fn block(&mut self, block: &[u8; 64], offset: usize, carry: &mut Carry) -> u64 {
        let (sixteens, _) = block.as_chunks::<16>();
        let lanes = [0, 1, 2, 3].map(|lane: usize| u8x16::from(sixteens[lane]));
        let find = |byte: u8| {
            let byte = u8x16::splat(byte);
            let bits = lanes.map(|lane| u64::from(lane.simd_eq(byte).to_bitmask()));
            bits[0] | bits[1] << 16 | bits[2] << 32 | bits[3] << 48
        };
        let (quotes, line_ends, crs) = (find(b'"'), find(b'\n'), find(b'\r'));
        let inside = parity(quotes) ^ carry.inside;
        let ends = (find(b',') | line_ends) & !inside;
        let (opening, closing) = (quotes & inside, quotes & !inside);
        let odd = (line_ends & inside)
            | (opening & !(ends << 1 | carry.end))
            | ((closing << 1 | carry.closing) & !(ends | crs))
            | (((crs & !inside) << 1 | carry.cr) & !line_ends);
        *carry = Carry {
            inside: ((inside as i64) >> 63) as u64,
            end: ends >> 63,
            closing: closing >> 63,
            cr: (crs & !inside) >> 63,
        };
        let mut left = ends;
        while left != 0 {
            let bit = left.trailing_zeros();
            self.starts.push(offset as u32 + bit + 1);
            if line_ends >> bit & 1 != 0 {
                self.rows.push(self.starts.len() as u32 - 1);
            }
            left &= left - 1;
        }
        odd
    }
}

/// For each bit: whether the number of ones up to and with it is odd.
fn parity(mut bits: u64) -> u64 {
    for shift in [1, 2, 4, 8, 16, 32] {
        bits ^= bits << shift;
    }
    bits
}
