"""Drop-ins: one file or folder for each library or tutorial whose interface is replaced.

Change the import, keep the code. Each names what it replaces, and says where the original is
wrong and this is not. They rename and reorder; the operators compute. What they have in common:

- float16, float32 and float64 stay what they are and are promoted by NumPy's rule where they
  meet; integers and bool become float64, which most of the originals always compute in.
- Lists are arrays. What makes no sense raises fastconv's own errors, where originals print, exit,
  assert or go wrong silently.
- Sums may come in another order than the original's: results agree to rounding.

Nothing is imported here: `from fastconv.dropin import numpycnn`.
"""
