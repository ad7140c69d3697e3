//! Drawing small figures as inline SVG: stand-in colours become the page's, so that figures follow light, dark and print.

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::error::Error;

/// Font size as the drawing library counts it, see the chart's.
pub(super) const FONT: i32 = 16;

/// Mean width of a character of a sans-serif font, in such font sizes.
pub(super) const CHARACTER: f64 = 0.46;

/// A colour of the page: a stand-in that is replaced by the CSS value of the same position in [`INKS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ink(u8);

/// CSS values; the models' colours are Okabe and Ito's, which readers with any colour vision can tell apart.
const INKS: [&str; 14] = [
    "currentColor",
    "var(--line)",
    "var(--soft)",
    "var(--paper)",
    "var(--s0)",
    "var(--m0)",
    "var(--m1)",
    "var(--m2)",
    "var(--m3)",
    "var(--m4)",
    "var(--m5)",
    "var(--m6)",
    "var(--mx)",
    "#111111",
];

/// Models that get a colour of their own; the rest share one.
pub(super) const N_MODEL_COLOURS: usize = 7;

impl Ink {
    pub(super) const TEXT: Self = Self(0);
    pub(super) const LINE: Self = Self(1);
    pub(super) const SOFT: Self = Self(2);
    pub(super) const PAPER: Self = Self(3);
    pub(super) const OURS: Self = Self(4);

    /// For words on a model's colour, all of which are light enough in every scheme.
    pub(super) const ON_MODEL: Self = Self(13);

    /// The colour of the model at `rank`; all from [`N_MODEL_COLOURS`] on share one.
    pub(super) fn model(rank: usize) -> Self {
        Self(5 + u8::try_from(rank.min(N_MODEL_COLOURS)).expect("few colours"))
    }

    pub(super) fn css(self) -> &'static str {
        INKS[usize::from(self.0)]
    }

    pub(super) fn rgb(self) -> RGBColor {
        RGBColor(3, 1, self.0)
    }
}

/// A figure in pixels.
pub(super) type Canvas<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Draws with `draw` on `width` × `height` pixels; `description` is for those who cannot see it.
pub(super) fn figure(
    (width, height): (i32, i32),
    description: &str,
    draw: impl FnOnce(&Canvas<'_>) -> Result<(), Box<dyn std::error::Error>>,
) -> Result<String, Error> {
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, (width.unsigned_abs(), height.unsigned_abs())).into_drawing_area();
        draw(&root).map_err(|e| Error::Chart(e.to_string()))?;
        root.present().map_err(|e| Error::Chart(e.to_string()))?;
    }
    for (i, css) in (0_u8..).zip(INKS) {
        let RGBColor(r, g, b) = Ink(i).rgb();
        svg = svg.replace(&format!("\"#{r:02X}{g:02X}{b:02X}\""), &format!("\"{css}\""));
    }
    let open = svg.find("<svg ").unwrap_or(0);
    let close = svg[open..].find('>').map_or(open, |i| open + i);
    let label = super::escape(description);
    Ok(format!("<svg viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{label}\">{}", &svg[close + 1..]))
}

/// Where a text stands relative to its point.
#[derive(Clone, Copy, Debug)]
pub(super) enum Anchor {
    Centre,
    Right,
}

pub(super) fn text(
    canvas: &Canvas<'_>,
    words: &str,
    at: (i32, i32),
    anchor: Anchor,
    ink: Ink,
) -> Result<(), Box<dyn std::error::Error>> {
    let position = match anchor {
        Anchor::Centre => HPos::Center,
        Anchor::Right => HPos::Right,
    };
    let style = ("sans-serif", FONT).into_font().color(&ink.rgb()).pos(Pos::new(position, VPos::Center));
    canvas.draw(&Text::new(words.to_owned(), at, style))?;
    Ok(())
}

/// Width of a text in pixels, about.
pub(super) fn text_width(words: &str) -> i32 {
    pixels(words.chars().count() as f64 * CHARACTER * f64::from(FONT))
}

pub(super) fn pixels(length: f64) -> i32 {
    #[expect(clippy::cast_possible_truncation, reason = "a few hundred pixels")]
    let whole = length.round() as i32;
    whole
}

pub(super) fn line(
    canvas: &Canvas<'_>,
    points: Vec<(i32, i32)>,
    ink: Ink,
    width: u32,
) -> Result<(), Box<dyn std::error::Error>> {
    canvas.draw(&PathElement::new(points, ink.rgb().stroke_width(width)))?;
    Ok(())
}

pub(super) fn fill(canvas: &Canvas<'_>, corners: [(i32, i32); 2], ink: Ink) -> Result<(), Box<dyn std::error::Error>> {
    canvas.draw(&Rectangle::new(corners, ink.rgb().filled()))?;
    Ok(())
}
