"""Inner products, iterative solvers, Fourier and non-uniform Fourier kernels, resampling matrices."""
