//! JPEG's Huffman coding, read only as far as needed to walk over it.
//!
//! To skip a block it is enough to know where it ends: the next [`LOOK`] bits tell how many bits and coefficients the next
//! few symbols take, together with the bits of their values. ITU-T T.81,
//! annexes C and F.

/// Bits that one look sees. Codes that are longer are rare, and read one by one.
const LOOK: u32 = 11;
const LOOKS: usize = 1 << LOOK;
const COEFFICIENTS: u32 = 64;

/// The bits of one scan, its stuffed zeros left out. Ends before the first marker; what is read behind it is zeros,
/// and [`Bits::has_overrun`]. What is called seldom takes it by value, so that the rest finds it in registers.
#[derive(Clone, Copy)]
pub(super) struct Bits<'a> {
    data: &'a [u8],
    at: usize,
    /// The next bits, from the highest down: `have` of them, then whatever.
    window: u64,
    have: u32,
    /// How many of them lie behind the end.
    made_up: u32,
}

impl<'a> Bits<'a> {
    pub(crate) fn new(data: &'a [u8]) -> Bits<'a> {
        Bits { data, at: 0, window: 0, have: 0, made_up: 0 }
    }

    /// Whether more was read than there was.
    pub(crate) fn has_overrun(&self) -> bool {
        self.made_up > self.have
    }

    /// Passes over the restart marker of this number, which must be the next thing; codes begin anew behind it.
    pub(crate) fn restart(&mut self, number: u8) -> Option<()> {
        let is_padding = self.have.checked_sub(self.made_up)? < 8;
        if !is_padding || self.data.get(self.at..self.at + 2)? != [0xff, 0xd0 + number] {
            return None;
        }
        *self = Bits { data: self.data, at: self.at + 2, window: 0, have: 0, made_up: 0 };
        Some(())
    }

    /// What lies behind what was read, beginning with a marker if there is one.
    pub(crate) fn up_to_marker(&self) -> &'a [u8] {
        &self.data[self.at..]
    }

    /// At least 56 are in the window behind this.
    #[inline(always)]
    fn refill(&mut self) {
        if let Some(Ok(next)) = self.data.get(self.at..self.at + 8).map(<[u8; 8]>::try_from) {
            let next = u64::from_be_bytes(next);
            if !has_ff(next) {
                self.window |= next >> self.have;
                let bytes = (63 - self.have) / 8;
                self.at += bytes as usize;
                self.have += bytes * 8;
                return;
            }
        }
        *self = self.refilled_by_bytes();
    }

    #[cold]
    #[inline(never)]
    fn refilled_by_bytes(mut self) -> Self {
        self.window &= !(u64::MAX >> self.have);
        while self.have < 56 {
            let byte = match self.data.get(self.at..) {
                Some([0xff, 0, ..]) => {
                    self.at += 2;
                    0xff
                }
                None | Some([] | [0xff, ..]) => {
                    self.made_up += 8;
                    0
                }
                Some([byte, ..]) => {
                    self.at += 1;
                    *byte
                }
            };
            self.window |= u64::from(byte) << (56 - self.have);
            self.have += 8;
        }
        self
    }

    #[inline(always)]
    fn peek(&self, bits: u32) -> u32 {
        (self.window >> (64 - bits)) as u32
    }

    #[inline(always)]
    fn skip(&mut self, bits: u32) {
        self.window <<= bits;
        self.have -= bits;
    }

    /// Shows the next bits to `pass`, and goes on behind them.
    #[inline(always)]
    fn pass(&mut self, bits: u32, mut pass: impl FnMut(u32, u32)) {
        pass(bits, self.peek(bits));
        self.skip(bits);
    }
}

/// Whether one of the eight bytes is 0xFF.
#[inline(always)]
pub(super) fn has_ff(bytes: u64) -> bool {
    const ONES: u64 = 0x0101_0101_0101_0101;
    (!bytes).wrapping_sub(ONES) & bytes & (ONES << 7) != 0
}

/// One Huffman code.
pub(super) struct Code {
    /// For the next [`LOOK`] bits: the length of the code that they begin with and its symbol; no length where that code is
    /// longer.
    short: Box<[(u8, u8); LOOKS]>,
    /// For each length above [`LOOK`]: the code behind the last of this length, and what to add to a code to come to its
    /// symbol's place.
    long: [(u32, i32); 16],
    symbols: Vec<u8>,
}

impl Code {
    /// From how many codes have 1, 2, … 16 bits, and their symbols in order. `None` where they don't fit.
    pub(crate) fn new(counts: &[u8; 16], symbols: &[u8]) -> Option<Code> {
        let mut short = Box::new([(0, 0); LOOKS]);
        let mut long = [(0, 0); 16];
        let (mut code, mut place) = (0u32, 0usize);
        for (&count, length) in counts.iter().zip(1u32..) {
            let first = code;
            for &symbol in symbols.get(place..place + usize::from(count))? {
                if length <= LOOK {
                    let from = (code as usize) << (LOOK - length);
                    short.get_mut(from..from + (1 << (LOOK - length)))?.fill((length as u8, symbol));
                }
                code += 1;
            }
            // A code of ones alone is none.
            if code >= 1 << length {
                return None;
            }
            long[length as usize - 1] = (code, place as i32 - first as i32);
            place += usize::from(count);
            code <<= 1;
        }
        Some(Code { short, long, symbols: symbols[..place].to_vec() })
    }

    /// The next code's length and symbol, from a window that has been refilled.
    #[inline(always)]
    fn look(&self, bits: &Bits<'_>) -> Option<(u32, u8)> {
        match self.short[bits.peek(LOOK) as usize % LOOKS] {
            (0, _) => self.look_far(bits.peek(16)),
            (length, symbol) => Some((u32::from(length), symbol)),
        }
    }

    #[cold]
    #[inline(never)]
    fn look_far(&self, next: u32) -> Option<(u32, u8)> {
        (LOOK + 1..=16).find_map(|length| {
            let code = next >> (16 - length);
            let (end, offset) = self.long[length as usize - 1];
            (code < end)
                .then(|| self.symbols.get((code as i32 + offset) as usize))
                .flatten()
                .map(|&symbol| (length, symbol))
        })
    }

    /// A block's first coefficient, as its difference to the one before.
    #[inline(always)]
    pub(crate) fn difference(&self, bits: &mut Bits<'_>) -> Option<i32> {
        bits.refill();
        let (length, category) = self.look(bits)?;
        if category > 15 {
            return None;
        }
        bits.skip(length);
        if category == 0 {
            return Some(0);
        }
        let value = bits.peek(category.into()) as i32;
        bits.skip(category.into());
        // Those whose first bit is zero are negative.
        let is_negative = value >> (category - 1) == 0;
        Some(if is_negative { value + 1 - (1 << category) } else { value })
    }
}

impl Code {
    /// The next symbol. Where there is none, as many bits are passed over as libjpeg does.
    fn symbol(&self, bits: &mut Bits<'_>) -> Option<u8> {
        bits.refill();
        let found = self.look(bits);
        bits.skip(found.map_or(17, |(length, _)| length));
        found.map(|(_, symbol)| symbol)
    }
}

/// Reads a block as libjpeg does, whatever it finds, and tells whether it was one. Without a code for its other coefficients
/// it has only the first.
pub(super) fn read_block(bits: &mut Bits<'_>, first: &Code, others: Option<&Code>) -> bool {
    let category = first.symbol(bits);
    bits.skip(u32::from(category.unwrap_or(0) & 15));
    let mut is_sound = category.is_some();
    let Some(others) = others else { return is_sound };
    let mut done = 1;
    while done < COEFFICIENTS {
        let symbol = others.symbol(bits);
        is_sound &= symbol.is_some();
        // libjpeg takes what it can't read for a zero: the end of the block.
        let (zeros, category) = (symbol.unwrap_or(0) >> 4, symbol.unwrap_or(0) & 15);
        if category == 0 && zeros != 15 {
            break;
        }
        bits.skip(category.into());
        done += u32::from(zeros) + 1;
    }
    is_sound
}

/// The code of a block's other coefficients, by runs of symbols.
pub(super) struct Runs {
    /// For the next [`LOOK`] bits: what the symbols take whose codes are all there.
    runs: Box<[Run; LOOKS]>,
    code: Code,
}

/// Some symbols and the bits of their values.
#[derive(Clone, Copy)]
struct Run {
    /// None where not even one symbol is known.
    bits: u8,
    /// Or so many more than a block has, where the block ends behind them: so one comparison finds every end.
    coefficients: u8,
}

impl Run {
    const ENDS_BLOCK: u8 = 128;
    const UNKNOWN: Run = Run { bits: 0, coefficients: Run::ENDS_BLOCK };

    /// Of one symbol: how many zeros come first, and the bits of the value behind them.
    fn of_symbol(length: u32, symbol: u8) -> Run {
        let (zeros, category) = (symbol >> 4, symbol & 15);
        let ends_block = category == 0 && zeros != 15;
        Run { bits: length as u8 + category, coefficients: if ends_block { Run::ENDS_BLOCK } else { zeros + 1 } }
    }

    /// The coefficients before the block's end, if it ends behind them.
    fn before_end(self) -> Option<u32> {
        self.coefficients.checked_sub(Run::ENDS_BLOCK).filter(|_| self.bits > 0).map(u32::from)
    }
}

impl Runs {
    pub(crate) fn new(code: Code) -> Runs {
        let mut runs = Box::new([Run::UNKNOWN; LOOKS]);
        for (look, run) in runs.iter_mut().enumerate() {
            *run = Runs::run(&code, look);
        }
        Runs { runs, code }
    }

    fn run(code: &Code, look: usize) -> Run {
        let mut run = Run { bits: 0, coefficients: 0 };
        while u32::from(run.bits) < LOOK && u32::from(run.coefficients) < COEFFICIENTS {
            let (length, symbol) = code.short[(look << run.bits) % LOOKS];
            if length == 0 || u32::from(run.bits + length) > LOOK {
                break;
            }
            let next = Run::of_symbol(length.into(), symbol);
            run = Run { bits: run.bits + next.bits, coefficients: run.coefficients + next.coefficients };
        }
        if run.bits == 0 { Run::UNKNOWN } else { run }
    }

    /// Walks to the end of a block behind its first coefficient, and shows `pass` the bits on the way: their number, and
    /// themselves. `None` where they make no block.
    #[inline(always)]
    pub(crate) fn walk(&self, bits: &mut Bits<'_>, mut pass: impl FnMut(u32, u32)) -> Option<()> {
        let mut done = 1;
        loop {
            bits.refill();
            // A run takes at most 26 of the 56 bits, so there is enough for a second one.
            for _ in 0..2 {
                let run = self.runs[bits.peek(LOOK) as usize % LOOKS];
                let behind = done + u32::from(run.coefficients);
                if behind < COEFFICIENTS {
                    bits.pass(run.bits.into(), &mut pass);
                    done = behind;
                    continue;
                }
                if run.before_end().is_some_and(|before| done + before < COEFFICIENTS) {
                    bits.pass(run.bits.into(), &mut pass);
                    return Some(());
                }
                // The symbols behind a block's last one are another's: here one comes at a time.
                bits.refill();
                let (length, symbol) = self.code.look(bits)?;
                let run = Run::of_symbol(length, symbol);
                bits.pass(run.bits.into(), &mut pass);
                done += u32::from(run.coefficients);
                match done {
                    COEFFICIENTS => return Some(()),
                    0..COEFFICIENTS => break,
                    _ => return run.before_end().map(drop),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
