
// newNetwork chooses by how the model came.
func (m *Model) newNetwork() (network, error) {
	if m.file.Export != nil {
		return newExportNetwork(m)
	}
	return ownNetwork{m}, nil
}
