// Affine maps of the plane as 2 x 3 matrices, and a film laid over another by one.

import type { Film } from "./api";

export type Point = [number, number];
/** Rows of (x, y, 1). */
export type Affine = number[][];

export function apply(matrix: Affine, [x, y]: Point): Point {
  return [matrix[0][0] * x + matrix[0][1] * y + matrix[0][2], matrix[1][0] * x + matrix[1][1] * y + matrix[1][2]];
}

/** First `first`, then `then`. */
export function after(then: Affine, first: Affine): Affine {
  return then.map(([a, b, c]) => [
    a * first[0][0] + b * first[1][0],
    a * first[0][1] + b * first[1][1],
    a * first[0][2] + b * first[1][2] + c,
  ]);
}

export function inverse([[a, b, c], [d, e, f]]: Affine): Affine {
  const determinant = a * e - b * d;
  const [p, q, r, s] = [e / determinant, -b / determinant, -d / determinant, a / determinant];
  return [
    [p, q, -p * c - q * f],
    [r, s, -r * c - s * f],
  ];
}

export function scaled(x: number, y: number): Affine {
  return [
    [x, 0, 0],
    [0, y, 0],
  ];
}

/** The film as it lies over another. matrix: pixels of the film that was sent -> pixels of the other that was sent. */
export function laidOver(film: Film, other: Film, matrix: Affine): Film {
  const toShown = scaled(film.columns / film.width, film.rows / film.height);
  const toSent = scaled(other.width / other.columns, other.height / other.rows);
  const back = after(toShown, after(inverse(matrix), toSent));
  const pixels = new Uint16Array(other.rows * other.columns);
  const { rows, columns, pixels: source } = film;
  for (let row = 0; row < other.rows; row++) {
    // Middles of pixels lie at .5.
    let [x, y] = apply(back, [0.5, row + 0.5]);
    for (let column = 0; column < other.columns; column++, x += back[0][0], y += back[1][0]) {
      const left = Math.floor(x - 0.5);
      const top = Math.floor(y - 0.5);
      if (left < 0 || top < 0 || left + 1 >= columns || top + 1 >= rows) continue;
      const right = x - 0.5 - left;
      const down = y - 0.5 - top;
      const at = top * columns + left;
      const upper = source[at] * (1 - right) + source[at + 1] * right;
      const lower = source[at + columns] * (1 - right) + source[at + columns + 1] * right;
      pixels[row * other.columns + column] = upper * (1 - down) + lower * down;
    }
  }
  return { ...film, rows: other.rows, columns: other.columns, height: other.height, width: other.width, pixels };
}
