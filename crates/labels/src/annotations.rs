//! ImagiNet's annotation files: a line for each image, `path,origin,content_type,model,specific_model`. Pure.

use super::Vocabulary;
use domain::{Generator, LabelledOrigin};

/// One line of an annotation file, its codes replaced by what they mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Annotation {
    /// Below the file's root, with slashes.
    pub path: String,
    pub origin: LabelledOrigin,
    pub content_type: String,
    /// `None` for a real image.
    pub generator: Option<Generator>,
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
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let read = lines.map(|(index, line)| {
        read_line(line.trim_end_matches('\r'), vocabulary)
            .map_err(|problem| AnnotationError { line: index + 1, problem })
    });
    read.collect()
}

fn read_line(line: &str, vocabulary: &Vocabulary) -> Result<Annotation, String> {
    // From the end, since a path may hold commas.
    let mut columns = line.rsplitn(5, ',');
    let mut column = |name: &str| {
        let text = columns.next().unwrap_or_default().trim();
        text.parse::<u32>().map_err(|_| {
            format!("{name} is {text:?}, not a code; a line is path,origin,content_type,model,specific_model")
        })
    };
    let generator = column("specific_model")?;
    let family = column("model")?;
    let content_type = column("content_type")?;
    let origin = column("origin")?;
    let path = columns.next().unwrap_or_default().trim();
    if path.is_empty() {
        return Err("the path is missing; a line is path,origin,content_type,model,specific_model".into());
    }
    let unknown = |column: &str, code: u32, what: &str, list: &str| {
        let name = &vocabulary.name;
        format!("{column} {code} is no {what} of {name}; add it under [[{list}]] and name the file in labels.file")
    };
    let origin = vocabulary.origin(origin).ok_or_else(|| unknown("origin", origin, "origin", "origins"))?;
    let content_type = vocabulary
        .content_type(content_type)
        .ok_or_else(|| unknown("content_type", content_type, "content type", "content_types"))?;
    let real = vocabulary.real();
    let generator = match origin {
        LabelledOrigin::Real if (family, generator) == (real.family, real.generator) => None,
        LabelledOrigin::Real => {
            return Err(format!(
                "a real image has model {} and specific_model {}, not {family} and {generator}",
                real.family, real.generator
            ));
        }
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
    Ok(Annotation { path: path.into(), origin, content_type: content_type.into(), generator })
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
        assert_eq!(read[0].generator, None);
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
            ("b.jpg,1,0,1,23", vec!["specific_model 23", "[[generators]]", "labels.file"]),
            ("b.jpg,1,0,7,4", vec!["model 7", "[[families]]"]),
            ("b.jpg,1,9,1,4", vec!["content_type 9", "[[content_types]]"]),
            ("b.jpg,2,0,1,4", vec!["origin 2"]),
            ("b.jpg,1,0,1,9", vec!["stylegan2", "\"gan\"", "\"stable-diffusion\""]),
            ("b.jpg,0,0,1,4", vec!["a real image has model 4"]),
            ("b.jpg,1,0,1", vec!["path,origin,content_type,model,specific_model"]),
            ("path,origin,content_type,model,specific_model", vec!["\"specific_model\", not a code"]),
            (",1,0,1,4", vec!["the path is missing"]),
        ] {
            let said = problem(line);
            assert!(said.starts_with("line 2: ") && words.iter().all(|word| said.contains(word)), "{line}: {said}");
        }
    }
}
