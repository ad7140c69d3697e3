//! Surface signals: what a text looks like, whatever it says.
//!
//! Counts are squashed by `ln(1 + n)`, shares are in `[0, 1]`, flags are 0 or 1. The table of names is the
//! documentation; its order is part of the artifact format.

use super::lexicon::class;
use super::words::{BLOCK, Block};
use crate::math::ln_1p_count;
use crate::request::{Request, ResponseFormat, Role};

/// Number of surface signals.
pub const SURFACE_SIGNALS: usize = 54;

/// Names of the surface signals, in order. `ln_` are `ln(1 + count)`, `share_` are fractions.
pub const SURFACE_NAMES: [&str; SURFACE_SIGNALS] = [
    "ln_bytes",
    "ln_words",
    "ln_lines",
    "mean_word_length",
    "share_long_words",
    "share_digits",
    "share_uppercase",
    "share_punctuation",
    "share_non_ascii",
    "share_white_space",
    "ln_numbers",
    "ln_longest_number",
    "share_numbers",
    "ln_sentences",
    "ln_question_marks",
    "ln_exclamation_marks",
    "ln_commas",
    "ln_colons",
    "ln_quotes",
    "ln_parentheses",
    "ln_square_brackets",
    "ln_braces",
    "ln_operators",
    "ln_latex",
    "ln_underscores",
    "ln_backticks",
    "ln_semicolons",
    "ln_hash_at_pipe",
    "ln_percent_currency",
    "ln_option_lines",
    "ln_list_lines",
    "share_indented_lines",
    "mean_line_length",
    "ln_longest_line",
    "starts_with_question",
    "ln_question_words",
    "ln_code_words",
    "ln_maths_words",
    "starts_with_command",
    "ln_negations",
    "ln_choice_words",
    "ln_chat_words",
    "ln_reason_words",
    "ln_quantity_words",
    "ln_format_words",
    "share_ideographs",
    "share_other_scripts",
    "ln_turns",
    "ln_system_bytes",
    "ln_earlier_bytes",
    "ln_tools",
    "ln_images",
    "wants_json",
    "ln_max_output_tokens",
];

/// Running counts over one turn.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Counts {
    pub(super) total_bytes: usize,
    characters: usize,
    digits: usize,
    uppercase: usize,
    punctuation: usize,
    non_ascii: usize,
    ideographs: usize,
    white_space: usize,
    sentences: usize,
    question_marks: usize,
    exclamation_marks: usize,
    commas: usize,
    colons: usize,
    quotes: usize,
    parentheses: usize,
    square_brackets: usize,
    braces: usize,
    operators: usize,
    latex: usize,
    underscores: usize,
    backticks: usize,
    semicolons: usize,
    hash_at_pipe: usize,
    percent_currency: usize,
    words: usize,
    word_bytes: usize,
    long_words: usize,
    numbers: usize,
    longest_number: usize,
    first_word: u16,
    classes: [usize; 10],
    lines: usize,
    line_length: usize,
    longest_line: usize,
    indented_lines: usize,
    option_lines: usize,
    list_lines: usize,
    line_start: [u8; 3],
    line_indent: usize,
    sentence_open: bool,
}

impl Counts {
    /// Sees one character of the text; `is_uppercase` is asked of those outside ASCII only.
    pub(super) fn character(&mut self, character: char, is_uppercase: bool) {
        self.characters += 1;
        if character == '\n' {
            self.white_space += 1;
            self.end_line();
            return;
        }
        self.line_position(character);
        match character {
            'a'..='z' => self.sentence_open = true,
            'A'..='Z' => {
                self.uppercase += 1;
                self.sentence_open = true;
            }
            '0'..='9' => self.digits += 1,
            ' ' | '\t' | '\r' | '\u{b}' | '\u{c}' => self.white_space += 1,
            _ if character.is_ascii() => {
                self.punctuation += 1;
                self.mark(character);
            }
            _ => {
                self.non_ascii += 1;
                self.foreign(character, is_uppercase);
            }
        }
    }

    /// Sees a block of ASCII, at least one character, `text`: the same as [`Self::character`] for each of its characters.
    #[inline(always)]
    pub(super) fn block(&mut self, text: &[u8], block: &Block) {
        self.characters += block.len;
        self.uppercase += block.uppercase.count_ones() as usize;
        self.digits += block.digits.count_ones() as usize;
        self.white_space += block.spaces.count_ones() as usize;
        let mut letters = block.letters;
        let mut others = (u64::MAX >> (BLOCK - block.len)) & !(block.letters | block.digits | block.spaces);
        let mut line = 0;
        while others != 0 {
            let place = others.trailing_zeros() as usize;
            let before = (1 << place) - 1;
            self.sentence_open |= letters & before != 0;
            letters &= !before;
            others &= others - 1;
            match text[place] {
                b'\n' => {
                    self.white_space += 1;
                    self.line_of(&text[line..place]);
                    self.end_line();
                    line = place + 1;
                }
                b'\t' | b'\r' | 0x0b | 0x0c => self.white_space += 1,
                byte => {
                    self.punctuation += 1;
                    self.mark(char::from(byte));
                }
            }
        }
        self.sentence_open |= letters != 0;
        self.line_of(&text[line..]);
    }

    /// Sees ASCII without line ends: [`Self::line_position`] of each of its characters.
    #[inline(always)]
    fn line_of(&mut self, text: &[u8]) {
        let mut seen = 0;
        while seen < text.len() && self.line_length - self.line_indent < self.line_start.len() {
            self.line_position(char::from(text[seen]));
            seen += 1;
        }
        self.line_length += text.len() - seen;
    }

    fn mark(&mut self, character: char) {
        match character {
            '.' => self.end_sentence(),
            '?' => {
                self.question_marks += 1;
                self.end_sentence();
            }
            '!' => {
                self.exclamation_marks += 1;
                self.end_sentence();
            }
            ',' => self.commas += 1,
            ':' => self.colons += 1,
            '"' | '\'' => self.quotes += 1,
            '(' | ')' => self.parentheses += 1,
            '[' | ']' => self.square_brackets += 1,
            '{' | '}' => self.braces += 1,
            '=' | '<' | '>' | '+' | '*' | '/' | '^' | '-' => self.operators += 1,
            '\\' => self.latex += 1,
            '$' => {
                self.latex += 1;
                self.percent_currency += 1;
            }
            '%' => self.percent_currency += 1,
            '_' => self.underscores += 1,
            '`' => self.backticks += 1,
            ';' => self.semicolons += 1,
            '#' | '@' | '|' => self.hash_at_pipe += 1,
            _ => {}
        }
    }

    fn foreign(&mut self, character: char, is_uppercase: bool) {
        match character {
            '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{20000}'..='\u{3134f}' => {
                self.ideographs += 1;
                self.sentence_open = true;
            }
            '。' | '．' => self.end_sentence(),
            '？' | '؟' => {
                self.question_marks += 1;
                self.end_sentence();
            }
            '“' | '”' | '‘' | '’' | '«' | '»' => self.quotes += 1,
            '€' | '£' | '¥' => self.percent_currency += 1,
            '×' | '÷' | '≤' | '≥' | '≠' | '√' | '∑' | '∫' | '∞' | '→' | '∈' => self.operators += 1,
            _ if is_uppercase => self.uppercase += 1,
            _ => self.sentence_open = true,
        }
    }

    fn end_sentence(&mut self) {
        self.sentences += usize::from(self.sentence_open);
        self.sentence_open = false;
    }

    /// Watches the first characters of a line, which tell options and lists from running text.
    #[inline(always)]
    fn line_position(&mut self, character: char) {
        if self.line_length == self.line_indent && (character == ' ' || character == '\t') {
            self.line_indent += 1;
        } else if let Some(slot) = self.line_start.get_mut(self.line_length - self.line_indent) {
            *slot = if character.is_ascii() { character as u8 } else { b'~' };
        }
        self.line_length += 1;
    }

    /// Closes a line: at a line end, and once after the last character.
    pub(super) fn end_line(&mut self) {
        if self.line_length > self.line_indent {
            self.lines += 1;
            self.longest_line = self.longest_line.max(self.line_length);
            self.indented_lines += usize::from(self.line_indent >= 2);
            match self.line_start {
                [b'A'..=b'Z' | b'a'..=b'j', b'.' | b')' | b':', _] | [b'(', b'A'..=b'Z' | b'a'..=b'j', b')'] => {
                    self.option_lines += 1;
                }
                [b'-' | b'*' | b'+', b' ', _]
                | [b'0'..=b'9', b'.' | b')', _]
                | [b'0'..=b'9', b'0'..=b'9', b'.' | b')'] => {
                    self.list_lines += 1;
                }
                _ => {}
            }
        }
        self.line_length = 0;
        self.line_indent = 0;
        self.line_start = [0; 3];
    }

    /// Sees one word of letters.
    pub(super) fn word(&mut self, bytes: usize, classes: u16) {
        if self.words == 0 && self.numbers == 0 {
            self.first_word = classes;
        }
        self.words += 1;
        self.word_bytes += bytes;
        self.long_words += usize::from(bytes >= 8);
        let mut rest = classes;
        while rest != 0 {
            self.classes[rest.trailing_zeros() as usize] += 1;
            rest &= rest - 1;
        }
    }

    /// Sees one run of digits.
    pub(super) fn number(&mut self, digits: usize) {
        self.numbers += 1;
        self.longest_number = self.longest_number.max(digits);
    }

    /// Turns counts into signals, in the order of [`SURFACE_NAMES`]; `logarithms` are `ln(1 + n)` of the first counts.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "signals are stored in single precision; a mean length is positive"
    )]
    pub(super) fn finish(
        &self,
        request: &Request<'_>,
        system_bytes: usize,
        earlier_bytes: usize,
        logarithms: &[f64],
        surface: &mut [f32; SURFACE_SIGNALS],
    ) {
        let characters = self.characters.max(1) as f64;
        let words = self.words.max(1) as f64;
        let lines = self.lines.max(1) as f64;
        let tokens = (self.words + self.numbers).max(1) as f64;
        let share = |n: usize, of: f64| n as f64 / of;
        let ln = |n: usize| logarithms.get(n).copied().unwrap_or_else(|| ln_1p_count(n));
        let flag = |condition: bool| f64::from(u8::from(condition));
        let starts = |class: u16| flag(self.first_word & class != 0);
        let of_class = |class: u16| ln(self.classes[class.trailing_zeros() as usize]);
        let values: [f64; SURFACE_SIGNALS] = [
            ln(self.total_bytes),
            ln(self.words + self.numbers),
            ln(self.lines),
            self.word_bytes as f64 / words,
            share(self.long_words, words),
            share(self.digits, characters),
            share(self.uppercase, characters),
            share(self.punctuation, characters),
            share(self.non_ascii, characters),
            share(self.white_space, characters),
            ln(self.numbers),
            ln(self.longest_number),
            share(self.numbers, tokens),
            ln(self.sentences),
            ln(self.question_marks),
            ln(self.exclamation_marks),
            ln(self.commas),
            ln(self.colons),
            ln(self.quotes),
            ln(self.parentheses),
            ln(self.square_brackets),
            ln(self.braces),
            ln(self.operators),
            ln(self.latex),
            ln(self.underscores),
            ln(self.backticks),
            ln(self.semicolons),
            ln(self.hash_at_pipe),
            ln(self.percent_currency),
            ln(self.option_lines),
            ln(self.list_lines),
            share(self.indented_lines, lines),
            ln((characters / lines) as usize),
            ln(self.longest_line),
            starts(class::QUESTION),
            of_class(class::QUESTION),
            of_class(class::CODE),
            of_class(class::MATHS),
            starts(class::COMMAND),
            of_class(class::NEGATION),
            of_class(class::CHOICE),
            of_class(class::CHAT),
            of_class(class::REASON),
            of_class(class::QUANTITY),
            of_class(class::FORMAT),
            share(self.ideographs, characters),
            share(self.non_ascii - self.ideographs, characters),
            ln(request.turns.iter().filter(|turn| turn.role != Role::System).count()),
            ln(system_bytes),
            ln(earlier_bytes),
            ln(request.tools),
            ln(request.images),
            flag(request.response_format == ResponseFormat::Json),
            ln(request.max_output_tokens.unwrap_or(0) as usize),
        ];
        for (signal, value) in surface.iter_mut().zip(values) {
            *signal = value as f32;
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::features::{Features, Featuriser, SURFACE_NAMES};
    use crate::request::{Request, Turn};

    fn signal(text: &str, name: &str) -> f32 {
        let mut features = Features::default();
        Featuriser::new().featurise(&Request::new(&[Turn::user(text)]), &mut features);
        let position = SURFACE_NAMES.iter().position(|known| *known == name).expect("a known signal");
        features.surface()[position]
    }

    #[test]
    fn options_and_lists_are_seen_at_line_starts() {
        let three = 4.0_f32.ln();
        assert!((signal("Which?\nA. x\nB) y\n(C) z\nAnother line", "ln_option_lines") - three).abs() < 1e-6);
        assert!((signal("- a\n* b\n12. c", "ln_list_lines") - three).abs() < 1e-6);
    }

    #[test]
    fn kinds_of_text_differ_where_they_should() {
        assert!(signal("def f(x):\n    return x", "ln_code_words") > 1.0);
        assert!(signal("def f(x):\n    return x", "share_indented_lines") > 0.4);
        assert!(signal("Solve the equation $x^2 = 4$", "ln_maths_words") > 1.0);
        assert!(signal("Why is the sky blue?", "starts_with_question") > 0.5);
        assert!(signal("为什么天空是蓝色的？", "share_ideographs") > 0.8);
        assert!(signal("Почему небо синее?", "share_other_scripts") > 0.7);
    }

    #[test]
    fn ellipses_are_one_sentence() {
        assert!((signal("Well... yes. No!", "ln_sentences") - 4.0_f32.ln()).abs() < 1e-6);
    }
}
