//! What points at what, without end: a walk that puts everything after what it points at, and finds loops.

/// What a walk over a graph found.
#[derive(Debug, Default, PartialEq)]
pub struct Walk {
    /// Every node, after all nodes it points at (but for those that close a loop).
    pub order: Vec<usize>,
    /// Each loop once, starting where the walk came in; the way back to the first node is not repeated.
    pub loops: Vec<Vec<usize>>,
}

/// Walks depth first over nodes `0..edges.len()`, each with the nodes it points at, without recursion: an
/// operator may nest a hundred thousand pools.
pub fn walk(edges: &[Vec<usize>]) -> Walk {
    let mut found = Walk::default();
    let mut state = vec![State::New; edges.len()];
    for start in 0..edges.len() {
        if state[start] == State::New {
            descend(start, edges, &mut state, &mut found);
        }
    }
    found
}

/// For each node, how many there are in a row on the longest way down from it, itself included; the
/// walk must have found no loop.
pub fn depths(edges: &[Vec<usize>], walk: &Walk) -> Vec<usize> {
    let mut depths = vec![0; edges.len()];
    for &node in &walk.order {
        depths[node] = 1 + edges[node].iter().map(|&to| depths[to]).max().unwrap_or(0);
    }
    depths
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    New,
    /// At this depth of the path that is being walked.
    OnPath(usize),
    Done,
}

fn descend(start: usize, edges: &[Vec<usize>], state: &mut [State], found: &mut Walk) {
    let mut path = vec![start];
    let mut next_edge = vec![0];
    state[start] = State::OnPath(0);
    while let (Some(&node), Some(edge)) = (path.last(), next_edge.last_mut()) {
        let Some(&to) = edges[node].get(*edge) else {
            state[node] = State::Done;
            found.order.push(node);
            path.pop();
            next_edge.pop();
            continue;
        };
        *edge += 1;
        match state[to] {
            State::New => {
                state[to] = State::OnPath(path.len());
                path.push(to);
                next_edge.push(0);
            }
            State::OnPath(depth) if found.loops.len() < LOOPS_MAX => found.loops.push(path[depth..].to_vec()),
            State::OnPath(_) | State::Done => {}
        }
    }
}

/// More loops than this are not told: one edit usually ends many.
const LOOPS_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_comes_after_what_it_points_at() {
        let walk = walk(&[vec![2, 1], vec![2], vec![], vec![0]]);
        assert_eq!(walk.order, [2, 1, 0, 3]);
        assert!(walk.loops.is_empty());
    }

    #[test]
    fn a_node_that_points_at_itself_is_a_loop() {
        assert_eq!(walk(&[vec![0]]).loops, [[0]]);
    }

    #[test]
    fn each_loop_is_told_once_from_where_it_is_entered() {
        let walk = walk(&[vec![1], vec![2], vec![1, 3], vec![2]]);
        assert_eq!(walk.loops, [vec![1, 2], vec![2, 3]]);
        assert_eq!(walk.order.len(), 4);
    }

    #[test]
    fn the_longest_way_down_counts() {
        let edges = [vec![2, 1], vec![2], vec![], vec![0]];
        assert_eq!(depths(&edges, &walk(&edges)), [3, 2, 1, 4]);
    }

    #[test]
    fn a_hundred_thousand_levels_are_walked() {
        let depth = 100_000;
        let edges: Vec<Vec<usize>> =
            (0..depth).map(|n| if n + 1 < depth { vec![n + 1] } else { vec![] }).collect();
        assert_eq!(walk(&edges).order[0], depth - 1);
    }
}
