//! The plots of a report, as SVG without a theme: colours stand for roles, and the page's style says what they look like.

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::evaluation::adversarial::AdversarialPoint;
use crate::evaluation::tracks::Sweep;
use figures::{Confusion, Curves, Figure, Figures};

/// Roles. The page replaces them by the colours of its theme.
const INK: RGBColor = RGBColor(1, 1, 1);
const FAINT: RGBColor = RGBColor(2, 2, 2);
const REAL: RGBColor = RGBColor(3, 3, 3);
const SYNTHETIC: RGBColor = RGBColor(4, 4, 4);
const ACCENT: RGBColor = RGBColor(5, 5, 5);

const SIZE: (u32, u32) = (460, 340);
const TEXT: f64 = 15.0;

const ROC: [&str; 2] = ["false positive rate", "true positive rate"];
const GUESSING: [[f64; 2]; 2] = [[0.0, 0.0], [1.0, 1.0]];

/// Why there is no plot.
#[derive(Debug, thiserror::Error)]
#[error("a plot can't be drawn: {0}")]
pub struct PlotError(String);

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn = Result<(), DrawingAreaErrorKind<std::io::Error>>;

/// Grid, axes and their names.
macro_rules! mesh {
    ($chart:expr, $x:expr, $y:expr) => {
        $chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(FAINT.mix(0.4))
            .axis_style(FAINT)
            .x_labels(6)
            .y_labels(6)
            .x_label_formatter(&short)
            .y_label_formatter(&short)
            .label_style(style(HPos::Center))
            .axis_desc_style(style(HPos::Center))
            .x_desc($x)
            .y_desc($y)
            .draw()?
    };
}

/// The ROC curve: true positive rate against false positive rate.
pub(super) fn roc(curves: &Curves) -> Result<String, PlotError> {
    drawn(SIZE, |area| curve(area, ROC, &[(&curves.roc, ACCENT)], &GUESSING))
}

/// The same of two detectors.
pub(super) fn roc_of_two(before: &Curves, after: &Curves) -> Result<String, PlotError> {
    drawn(SIZE, |area| curve(area, ROC, &[(&before.roc, SYNTHETIC), (&after.roc, ACCENT)], &GUESSING))
}

/// Precision against recall; the straight line is what calling everything synthetic gives.
pub(super) fn precision_recall(curves: &Curves) -> Result<String, PlotError> {
    let share = curves.precision_recall.last().map_or(0.5, |last| last[1]);
    let even = [[0.0, share], [1.0, share]];
    drawn(SIZE, |area| {
        let names = ["synthetic images found", "of those called, synthetic"];
        curve(area, names, &[(&curves.precision_recall, ACCENT)], &even)
    })
}

/// Share of synthetic images against the probability that was stated; larger dots are more images.
pub(super) fn reliability(curves: &Curves) -> Result<String, PlotError> {
    let most = curves.reliability.iter().map(|bin| bin[2]).fold(1.0, f64::max);
    drawn(SIZE, |area| {
        let mut chart = ChartBuilder::on(area)
            .margin(8)
            .x_label_area_size(42)
            .y_label_area_size(48)
            .build_cartesian_2d(0.0..1.0, 0.0..1.0)?;
        mesh!(chart, "stated probability of synthetic", "share that is synthetic");
        chart.draw_series([PathElement::new([(0.0, 0.0), (1.0, 1.0)], FAINT.stroke_width(2))])?;
        let points = || curves.reliability.iter().map(|bin| (bin[0], bin[1]));
        chart.draw_series(LineSeries::new(points(), ACCENT.stroke_width(2)))?;
        let dots = curves.reliability.iter().map(|bin| {
            let radius = 3.0 + 7.0 * (bin[2] / most).sqrt();
            Circle::new((bin[0], bin[1]), radius as i32, ACCENT.mix(0.75).filled())
        });
        chart.draw_series(dots)?;
        Ok(())
    })
}

/// Images by the probability that was stated, real and synthetic ones.
pub(super) fn histogram(curves: &Curves) -> Result<String, PlotError> {
    let (real, synthetic) = (&curves.histogram_real, &curves.histogram_synthetic);
    let most = real.iter().chain(synthetic).max().copied().unwrap_or_default().max(1) as f64;
    let width = 1.0 / real.len().max(1) as f64;
    drawn(SIZE, |area| {
        let mut chart = ChartBuilder::on(area)
            .margin(8)
            .x_label_area_size(42)
            .y_label_area_size(48)
            .build_cartesian_2d(0.0..1.0, 0.0..most * 1.05)?;
        mesh!(chart, "stated probability of synthetic", "images");
        for (counts, colour) in [(real, REAL), (synthetic, SYNTHETIC)] {
            let bars = counts.iter().enumerate().filter(|(_, count)| **count > 0).map(|(bin, &count)| {
                let left = bin as f64 * width;
                Rectangle::new([(left, 0.0), (left + width * 0.94, count as f64)], colour.mix(0.6).filled())
            });
            chart.draw_series(bars)?;
        }
        Ok(())
    })
}

/// Figures from 0 to 1, each a dot on the line of its interval.
pub(super) fn dots(rows: &[(String, Figure)]) -> Result<String, PlotError> {
    let (left, right, step) = (190, 640, 26);
    let height = 34 + step * rows.len() as i32;
    let x = |value: f64| left + (value.clamp(0.0, 1.0) * f64::from(right - left)) as i32;
    drawn((760, height as u32), |area| {
        for tenth in (0..=10).step_by(2) {
            let at = x(f64::from(tenth) / 10.0);
            area.draw(&PathElement::new([(at, 4), (at, height - 26)], FAINT.mix(0.5)))?;
            let label = format!("{:.1}", f64::from(tenth) / 10.0);
            area.draw(&Text::new(label, (at, height - 12), style(HPos::Center)))?;
        }
        let even = x(0.5);
        area.draw(&PathElement::new([(even, 4), (even, height - 26)], FAINT.stroke_width(2)))?;
        for (row, (name, figure)) in rows.iter().enumerate() {
            let y = 4 + step / 2 + step * row as i32;
            area.draw(&Text::new(name.clone(), (left - 12, y), style(HPos::Right)))?;
            let Some(value) = figure.value else {
                area.draw(&Text::new("–", (right + 14, y), style(HPos::Left)))?;
                continue;
            };
            if let Some([low, high]) = figure.interval {
                area.draw(&PathElement::new([(x(low), y), (x(high), y)], ACCENT.mix(0.45).stroke_width(7)))?;
            }
            area.draw(&Circle::new((x(value), y), 5, ACCENT.filled()))?;
            area.draw(&Text::new(format!("{value:.3}"), (right + 14, y), style(HPos::Left)))?;
        }
        Ok(())
    })
}

/// Rows are what images are, columns what they are called; the darker, the larger the share of the row.
pub(super) fn heat(confusion: &Confusion) -> Result<String, PlotError> {
    let labels = &confusion.labels;
    let rows: Vec<usize> = (0..labels.len()).filter(|row| confusion.row(*row) > 0.0).collect();
    let longest = labels.iter().map(|label| label.chars().count()).max().unwrap_or_default() as i32;
    let (left, cell) = (24 + longest * 8, (560 / labels.len().max(1) as i32).clamp(44, 110));
    // A label that is wider than its column stands upright.
    let is_upright = longest * 8 > cell;
    let (tall, top) = (46, if is_upright { 20 + longest * 8 } else { 30 });
    let (width, height) = (left + cell * labels.len() as i32 + 8, top + tall * rows.len() as i32 + 8);
    drawn((width as u32, height as u32), |area| {
        for (column, label) in labels.iter().enumerate() {
            let at = (left + cell * column as i32 + cell / 2, top - 8);
            let style =
                if is_upright { style(HPos::Left).transform(FontTransform::Rotate270) } else { style(HPos::Center) };
            area.draw(&Text::new(label.clone(), at, style))?;
        }
        for (line, &row) in rows.iter().enumerate() {
            let y = top + tall * line as i32;
            area.draw(&Text::new(labels[row].clone(), (left - 10, y + tall / 2), style(HPos::Right)))?;
            for (column, &count) in confusion.counts[row].iter().enumerate() {
                let (x, share) = (left + cell * column as i32, count / confusion.row(row));
                let colour = if column == row { ACCENT } else { SYNTHETIC };
                let corners = [(x + 2, y + 2), (x + cell - 2, y + tall - 2)];
                area.draw(&Rectangle::new(corners, FAINT.mix(0.15).filled()))?;
                area.draw(&Rectangle::new(corners, colour.mix(0.75 * share).filled()))?;
                if count > 0.0 {
                    let middle = (x + cell / 2, y + tall / 2);
                    area.draw(&Text::new(format!("{count}"), middle, style(HPos::Center)))?;
                }
            }
        }
        Ok(())
    })
}

/// AUC, balanced accuracy and naming along an axis, the first with its interval.
pub(super) fn sweep(sweep: &Sweep) -> Result<String, PlotError> {
    let points: Vec<_> = sweep.points.iter().map(|point| (point.at, &point.figures)).collect();
    along(sweep.unit, &points, "generator_top1")
}

/// AUC, balanced accuracy and what is still decided rightly, by what an attacker may change.
pub(super) fn attacks(points: &[AdversarialPoint]) -> Result<String, PlotError> {
    let points: Vec<_> = points.iter().map(|point| (f64::from(point.epsilon), &point.figures)).collect();
    along("change of each value, in levels of 255", &points, "still_right")
}

fn along(unit: &str, points: &[(f64, &Figures)], third: &'static str) -> Result<String, PlotError> {
    let (first, last) = match points {
        [first, .., last] => (first.0, last.0),
        _ => return Err(PlotError(format!("\"{unit}\" has fewer than two points"))),
    };
    let places =
        |name: &'static str| points.iter().filter_map(move |(at, figures)| Some((*at, figures.get(name).value?)));
    drawn(SIZE, |area| {
        let mut chart = ChartBuilder::on(area)
            .margin(8)
            .x_label_area_size(42)
            .y_label_area_size(48)
            .build_cartesian_2d(first..last, 0.0..1.0)?;
        mesh!(chart, unit, "");
        let interval =
            |end: usize| points.iter().filter_map(move |(at, figures)| Some((*at, figures.get("auc").interval?[end])));
        let band: Vec<(f64, f64)> = interval(0).chain(interval(1).collect::<Vec<_>>().into_iter().rev()).collect();
        if band.len() > 2 {
            chart.draw_series([Polygon::new(band, ACCENT.mix(0.2).filled())])?;
        }
        for (name, colour) in [("auc", ACCENT), ("balanced_accuracy", REAL), (third, SYNTHETIC)] {
            chart.draw_series(LineSeries::new(places(name), colour.stroke_width(2)))?;
            chart.draw_series(places(name).map(|place| Circle::new(place, 3, colour.filled())))?;
        }
        Ok(())
    })
}

fn curve(area: &Area<'_>, [x, y]: [&str; 2], curves: &[(&[[f64; 2]], RGBColor)], even: &[[f64; 2]; 2]) -> Drawn {
    let mut chart = ChartBuilder::on(area)
        .margin(8)
        .x_label_area_size(42)
        .y_label_area_size(48)
        .build_cartesian_2d(0.0..1.0, 0.0..1.0)?;
    mesh!(chart, x, y);
    let places = |points: &[[f64; 2]]| points.iter().map(|&[x, y]| (x, y)).collect::<Vec<_>>();
    chart.draw_series([PathElement::new(places(even), FAINT.stroke_width(2))])?;
    for (points, colour) in curves {
        chart.draw_series(LineSeries::new(places(points), colour.stroke_width(3)))?;
    }
    Ok(())
}

/// A number on an axis.
fn short(value: &f64) -> String {
    format!("{}", (value * 100.0).round() / 100.0)
}

fn style(anchor: HPos) -> TextStyle<'static> {
    TextStyle::from(("sans-serif", TEXT).into_font()).color(&INK).pos(Pos::new(anchor, VPos::Center))
}

/// SVG to be put into a page: without the name space, which is an address, and as wide as there is room.
fn drawn(size: (u32, u32), draw: impl FnOnce(&Area<'_>) -> Drawn) -> Result<String, PlotError> {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        draw(&area).and_then(|()| area.present()).map_err(|error| PlotError(error.to_string()))?;
    }
    let (width, height) = size;
    let start = format!(
        "<svg width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" xmlns=\"http://www.w3.org/2000/svg\">"
    );
    let plain = format!("<svg viewBox=\"0 0 {width} {height}\" style=\"max-width:{width}px\" role=\"img\">");
    Ok(svg.replace(&start, &plain))
}
