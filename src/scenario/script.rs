//! The text format: blocks of command, input and expected output.

use std::fmt;

/// A scenario, read.
#[derive(Clone, Debug, PartialEq)]
pub struct Script {
    /// Its blocks, in order.
    pub blocks: Vec<Block>,
    /// What stands after the last block: comments.
    trailing: String,
}

/// One command, and what it must print.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Block {
    /// Line of the command, from 1.
    pub line: usize,
    /// Comments and blank lines before it, as written.
    leading: String,
    /// The command line.
    pub command: String,
    /// Lines between the command and `----`.
    pub input: String,
    /// What it must print; ends in a newline unless it is empty.
    pub expected: String,
}

/// Text that is no script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptError {
    /// Line, from 1.
    pub line: usize,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for ScriptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.message)
    }
}

impl Script {
    /// Reads a script.
    ///
    /// # Errors
    /// A command that no `----` follows.
    pub fn parse(text: &str) -> Result<Self, ScriptError> {
        let mut lines = text.lines().enumerate().peekable();
        let mut blocks = Vec::new();
        let mut leading = String::new();
        while let Some((number, line)) = lines.next() {
            if line.trim().is_empty() || line.starts_with('#') {
                push_line(&mut leading, line);
                continue;
            }
            let mut block = Block {
                line: number + 1,
                leading: std::mem::take(&mut leading),
                command: line.trim_end().to_owned(),
                ..Block::default()
            };
            loop {
                match lines.next() {
                    Some((_, RULE)) => break,
                    Some((_, line)) => push_line(&mut block.input, line),
                    None => {
                        let message = format!("`{}` is followed by no `{RULE}`", block.command);
                        return Err(ScriptError { line: number + 1, message });
                    }
                }
            }
            block.expected = expected(&mut lines);
            blocks.push(block);
        }
        Ok(Self { blocks, trailing: leading })
    }

    /// The script with other outputs, one for each block.
    pub fn with_outputs(&self, outputs: &[String]) -> String {
        let mut text = String::new();
        for (block, output) in self.blocks.iter().zip(outputs) {
            text += &block.leading;
            push_line(&mut text, &block.command);
            text += &block.input;
            push_line(&mut text, RULE);
            if output.lines().any(|line| line.trim().is_empty()) {
                push_line(&mut text, RULE);
                text += output;
                push_line(&mut text, RULE);
                push_line(&mut text, RULE);
            } else {
                text += output;
            }
        }
        text + &self.trailing
    }
}

/// Up to a blank line, which stays for the next block's leading lines; or, after a second `----`, up to
/// two more of them.
fn expected<'t>(lines: &mut std::iter::Peekable<impl Iterator<Item = (usize, &'t str)>>) -> String {
    let mut text = String::new();
    if lines.next_if(|(_, line)| *line == RULE).is_some() {
        while let Some((_, line)) = lines.next() {
            if line == RULE && lines.next_if(|(_, next)| *next == RULE).is_some() {
                break;
            }
            push_line(&mut text, line);
        }
    } else {
        while let Some((_, line)) = lines.next_if(|(_, line)| !line.trim().is_empty()) {
            push_line(&mut text, line);
        }
    }
    text
}

fn push_line(text: &mut String, line: &str) {
    text.push_str(line);
    text.push('\n');
}

/// Parts a command from what it prints.
const RULE: &str = "----";

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = "# a story\n\nfile a\none\ntwo\n----\nok\n\nask\n----\n----\nlong\n\nanswer\n----\n----\n\nend\n----\n";

    #[test]
    fn blocks_have_commands_input_and_expected_output() {
        let script = Script::parse(EXAMPLE).expect("a script");
        let parts: Vec<_> = script
            .blocks
            .iter()
            .map(|block| (block.line, &*block.command, &*block.input, &*block.expected))
            .collect();
        assert_eq!(
            parts,
            [(3, "file a", "one\ntwo\n", "ok\n"), (9, "ask", "", "long\n\nanswer\n"), (18, "end", "", ""),]
        );
    }

    #[test]
    fn a_script_rewritten_with_what_it_expects_is_the_same() {
        let script = Script::parse(EXAMPLE).expect("a script");
        let outputs: Vec<String> = script.blocks.iter().map(|block| block.expected.clone()).collect();
        assert_eq!(script.with_outputs(&outputs), EXAMPLE);
    }

    #[test]
    fn a_command_without_a_rule_is_an_error_in_its_line() {
        let error = Script::parse("# x\nask\n").expect_err("no rule");
        assert_eq!(error.line, 2);
    }
}
