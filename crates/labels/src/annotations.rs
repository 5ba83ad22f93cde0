//! ImagiNet's annotation files: a line for each image, `path,origin,content_type,model,specific_model`, and behind that its source
//! if it has one. Pure.

use super::Vocabulary;
use domain::{Generator, LabelledOrigin};

/// What a line is made of, for messages.
const COLUMNS: &str = "path,origin,content_type,model,specific_model, and ,source behind them on all lines or on none";
/// Columns of codes.
const CODES: usize = 4;
/// What some editors put before a text in UTF-8.
const BYTE_ORDER_MARK: char = '\u{feff}';

/// One line of an annotation file, its codes replaced by what they mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Annotation {
    /// Below the file's root, with slashes.
    pub path: String,
    pub origin: LabelledOrigin,
    pub content_type: String,
    /// `None` for a real image.
    pub generator: Option<Generator>,
    /// The data set, camera or site that it comes from: the sixth column, else the folder of the path.
    pub source: String,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct AnnotationError {
    /// From 1.
    pub line: usize,
    pub problem: String,
}

/// Reads a whole file; the first line that can't be read is the error.
pub fn read(text: &str, vocabulary: &Vocabulary) -> Result<Vec<Annotation>, AnnotationError> {
    let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
    let mut all = Vec::new();
    let mut first = None;
    for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let wrong = |problem| AnnotationError { line: index + 1, problem };
        let (line, source) = split_source(line.trim_end_matches('\r')).map_err(wrong)?;
        let (first_line, first_has_source) = *first.get_or_insert((index + 1, source.is_some()));
        if first_has_source != source.is_some() {
            let (has, had) = if first_has_source { ("no", "one") } else { ("a", "none") };
            return Err(wrong(format!(
                "it has {has} source, but line {first_line} has {had}; give all lines a source or none"
            )));
        }
        all.push(read_line(line, source, vocabulary).map_err(wrong)?);
    }
    Ok(all)
}

/// A line without its source, and this. The source is what follows four codes; so it may not be a number itself.
fn split_source(line: &str) -> Result<(&str, Option<&str>), String> {
    let is_code = |text: &str| text.trim().parse::<u32>().is_ok();
    let Some((codes, last)) = line.rsplit_once(',') else { return Ok((line, None)) };
    let follows_codes = codes.rsplit(',').take(CODES).filter(|text| is_code(text)).count() == CODES;
    match (is_code(last), follows_codes && codes.split(',').count() > CODES) {
        (false, true) if last.trim().is_empty() => Err(format!("the source is empty; a line is {COLUMNS}")),
        (false, true) => Ok((codes, Some(last.trim()))),
        _ => Ok((line, None)),
    }
}

fn read_line(line: &str, source: Option<&str>, vocabulary: &Vocabulary) -> Result<Annotation, String> {
    // From the end, since a path may hold commas.
    let mut columns = line.rsplitn(CODES + 1, ',');
    let mut column = |name: &str| {
        let text = columns.next().unwrap_or_default().trim();
        text.parse::<u32>().map_err(|_| format!("{name} is {text:?}, not a code; a line is {COLUMNS}"))
    };
    let generator = column("specific_model")?;
    let family = column("model")?;
    let content_type = column("content_type")?;
    let origin = column("origin")?;
    let path = columns.next().unwrap_or_default().trim();
    if path.is_empty() {
        return Err(format!("the path is missing; a line is {COLUMNS}"));
    }
    let unknown = |column: &str, code: u32, what: &str, list: &str| {
        let name = &vocabulary.name;
        format!("{column} {code} is no {what} of {name}; add it under [[{list}]] and name the file in labels.file")
    };
    let origin = vocabulary.origin(origin).ok_or_else(|| unknown("origin", origin, "origin", "origins"))?;
    let content_type = vocabulary
        .content_type(content_type)
        .ok_or_else(|| unknown("content_type", content_type, "content type", "content_types"))?;
    let generator = match origin {
        LabelledOrigin::Real => no_generator(family, generator, vocabulary)?,
        LabelledOrigin::Synthetic => {
            let named = vocabulary.family(family).ok_or_else(|| unknown("model", family, "family", "families"))?;
            let found = vocabulary
                .generator(generator)
                .ok_or_else(|| unknown("specific_model", generator, "generator", "generators"))?;
            if found.family != named {
                return Err(format!(
                    "specific_model {generator} is {}, of family {:?}, but model {family} is {named:?}",
                    found.label, found.family
                ));
            }
            Some(found.clone())
        }
    };
    let source = source.unwrap_or_else(|| path.rsplit_once('/').map_or("", |(folder, _)| folder)).into();
    Ok(Annotation { path: path.into(), origin, content_type: content_type.into(), generator, source })
}

/// Of a real image.
fn no_generator(family: u32, generator: u32, vocabulary: &Vocabulary) -> Result<Option<Generator>, String> {
    let real = vocabulary.real();
    match (family, generator) == (real.family, real.generator) {
        true => Ok(None),
        false => Err(format!(
            "a real image has model {} and specific_model {}, not {family} and {generator}",
            real.family, real.generator
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(text: &str) -> Result<Vec<Annotation>, AnnotationError> {
        read(text, &Vocabulary::built_in())
    }

    #[test]
    fn imaginets_lines_are_read_with_their_codes_resolved() {
        let text = "real/photos/a.jpg,0,0,4,8\r\n\nfake/b, c.png,1,1,1,4\nfake/d.png,1,2,5,16";
        let read = read_all(text).unwrap();
        assert_eq!((&read[0].generator, read[0].source.as_str()), (&None, "real/photos"));
        assert_eq!((read[1].path.as_str(), read[1].content_type.as_str()), ("fake/b, c.png", "paintings"));
        let generator = |label: &str, family: &str| Some(Generator { label: label.into(), family: family.into() });
        assert_eq!(read[1].generator, generator("sdxl-1.0", "stable-diffusion"));
        assert_eq!((&read[2].generator, read[2].origin), (&generator("taef2", "other"), LabelledOrigin::Synthetic));
    }

    #[test]
    fn an_error_names_the_line_and_how_to_fix_it() {
        let problem = |line: &str| {
            let error = read_all(&format!("a.jpg,0,0,4,8\n{line}")).unwrap_err();
            assert_eq!(error.line, 2);
            error.to_string()
        };
        for (line, words) in [
            ("b.jpg,1,0,1,99", vec!["specific_model 99", "[[generators]]", "labels.file"]),
            ("b.jpg,1,0,77,4", vec!["model 77", "[[families]]"]),
            ("b.jpg,1,9,1,4", vec!["content_type 9", "[[content_types]]"]),
            ("b.jpg,2,0,1,4", vec!["origin 2"]),
            ("b.jpg,1,0,1,9", vec!["stylegan2", "\"gan\"", "\"stable-diffusion\""]),
            ("b.jpg,0,0,1,4", vec!["a real image has model 4"]),
            ("b.jpg,1,0,1", vec!["path,origin,content_type,model,specific_model"]),
            ("path,origin,content_type,model,specific_model", vec!["\"specific_model\", not a code"]),
            (",1,0,1,4", vec!["the path is missing"]),
            ("1,0,1,4", vec!["the path is missing"]),
        ] {
            let said = problem(line);
            assert!(said.starts_with("line 2: ") && words.iter().all(|word| said.contains(word)), "{line}: {said}");
        }
    }

    #[test]
    fn a_sixth_column_is_the_source_and_else_it_is_the_folder() {
        let text =
            "\u{feff}real/a, b.jpg,0,0,4,8, asp-imagebank \r\nfake/c.png,1,1,1,4,liruifengv/daily-poetry-image\n";
        let read = read_all(text).unwrap();
        assert_eq!((read[0].path.as_str(), read[0].source.as_str()), ("real/a, b.jpg", "asp-imagebank"));
        assert_eq!(read[1].source, "liruifengv/daily-poetry-image");
        let read = read_all("a/b/c.jpg,0,0,4,8\nd.jpg,0,0,4,8\n1,2,3,0,0,4,8").unwrap();
        assert_eq!(read.iter().map(|one| one.source.as_str()).collect::<Vec<_>>(), ["a/b", "", ""]);
        assert_eq!(read[2].path, "1,2,3");
    }

    #[test]
    fn a_source_on_some_lines_only_is_refused_by_line() {
        let refused = |text: &str| read_all(text).unwrap_err().to_string();
        let with = "a.jpg,0,0,4,8,asp";
        let without = "b.jpg,0,0,4,8";
        let said = refused(&format!("{with}\n\n{without}"));
        assert!(said.starts_with("line 3: it has no source, but line 1 has one"), "{said}");
        let said = refused(&format!("{without}\n{with}"));
        assert!(said.starts_with("line 2: it has a source, but line 1 has none"), "{said}");
        let said = refused(&format!("{with}\nb.jpg,0,0,4,8,"));
        assert!(said.starts_with("line 2: the source is empty"), "{said}");
    }
}
