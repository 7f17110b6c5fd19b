const forms = [
  /^(?:import|export)\b[^'"`;]*?\bfrom\s*['"]([^'"]+)['"]/gm,
  /^import\s*['"]([^'"]+)['"]/gm,
  /\bimport\(\s*['"]([^'"]+)['"]/g,
]

/** The specifiers a module names in its imports and re-exports, types and dynamic imports included. */
export function importsOf(text: string): string[] {
  return forms.flatMap((form) => [...text.matchAll(form)].map(([, specifier]) => specifier ?? ''))
}
